package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/internal/program"
	"keyladder/mobileclient/device/hardware"
	"keyladder/mobileclient/factory"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

// installationFile has the name of the app's installation, in the folder of a phone's secure hardware.
const installationFile = "installation"

// appOnPhone is the bank's app on a phone. Close it.
type appOnPhone struct {
	*deploy.App
	putDown    func() error // the phone, for others to take
	thrownAway string       // folder of the phone's secure hardware, which is not kept; empty: it is
}

// Close switches the phone off, and throws it away if it was for this use alone.
func (a appOnPhone) Close() {
	if a.App != nil {
		a.App.Close()
	}
	if a.putDown != nil {
		a.putDown()
	}
	if a.thrownAway != "" {
		os.RemoveAll(a.thrownAway) // a folder of the system's for what is temporary
	}
}

// phone is one that is taken for the app's.
type phone struct {
	dir      string // of its secure hardware; empty: it is thrown away
	madeUp   bool   // in no factory of the maker's: nobody knows the root of its certificate
	unlocked bool   // its boot loader is
}

func (p *phone) flags(c *cobra.Command) {
	c.Flags().StringVar(&p.dir, "phone", "", "`FOLDER` of the secure hardware of the phone that takes part in the app's place, which stages token makes where it is not there (default: it is thrown away)")
	c.Flags().BoolVar(&p.madeUp, "made-up-phone", false, "take a phone that no maker has made, as anybody can: its certificate leads to a root that nobody knows")
}

// plant makes phones of that kind.
func (p phone) plant(folder *deployment.Folder) (*factory.Plant, error) {
	if !p.madeUp {
		return factory.Open(folder)
	}
	root, err := pki.NewRoot("Made-up Devices")
	if err != nil {
		return nil, err
	}
	genuine, err := folder.Read(factory.SystemFile) // which every phone of the maker's says
	if err != nil {
		return nil, err
	}
	system, err := pin.Parse(string(genuine))
	return factory.New(root, system), err
}

// open is the bank's app on the phone, whose secure hardware is made where it is not there. A phone is
// switched on once at a time: where another command has it, this waits. Else each would make its own
// hardware and keys, and only the last would be kept.
func (p phone) open(folder *deployment.Folder, stage catalog.Stage) (a appOnPhone, err error) {
	dir := p.dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "keyladder-phone-"); err != nil {
			return a, err
		}
		a.thrownAway = dir
	}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return a, err
	}
	if a.putDown, err = program.LockFolder(dir); err != nil {
		return a, err
	}
	plant, err := p.plant(folder)
	if err == nil {
		err = plant.Make(dir)
	}
	if err != nil && !errors.Is(err, factory.ErrNone) {
		return a, err
	}
	name := filepath.Join(dir, installationFile)
	installation, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		installation = []byte(rand.Text())
		err = os.WriteFile(name, installation, 0o600)
	}
	if err != nil {
		return a, err
	}
	opened, err := deploy.OpenAppOn(folder.Path(deploy.PackageName(stage.Package.Release)), string(installation), dir, hardware.MakersSystem(!p.unlocked))
	if err != nil {
		return a, err
	}
	a.App = opened
	return a, nil
}

// phoneSigner proves requests with the app's key, which is in the secure hardware of a phone.
type phoneSigner struct {
	folder *deployment.Folder // the phone's
	phone  phone
	nonce  string // of the server that the request is for; empty: it is asked for one
}

var errNoPhone = errors.New("sign with a phone's key: name the folder of its secure hardware with --phone, as \"stages token --phone FOLDER\" has made it")

// sign signs a request, or puts a proof into it, whatever the stage's calls carry. The fields that name the
// app and its user have to be there already.
func (p phoneSigner) sign(ctx context.Context, stage catalog.Stage, call protect.Call) (protect.Request, error) {
	if !p.phone.madeUp && !hardware.Exists(p.phone.dir) {
		return protect.Request{}, errNoPhone
	}
	app, err := p.phone.open(p.folder, stage)
	if err != nil {
		return protect.Request{}, err
	}
	defer app.Close()
	caller, roots, err := shippedCaller(p.folder, stage)
	if err != nil {
		return protect.Request{}, err
	}
	if caller, err = app.Equip(caller); err != nil {
		return protect.Request{}, err
	}
	api, err := caller.URL("/v1/")
	if err != nil {
		return protect.Request{}, err
	}
	if call.Client = !strings.HasPrefix(call.URL.Path, api.Path); call.Client { // it is for an endpoint of OAuth
		call.Media = cmp.Or(call.Media, protect.FormMedia)
	}
	switch {
	case !call.Client && stage.Call.Sender != catalog.DPoPProofs: // no nonce is needed
	case p.nonce != "":
		caller.UseNonce(call.URL, p.nonce)
	default:
		asking, err := caller.NonceCall()
		if err != nil {
			return protect.Request{}, err
		}
		client := clientOf(p.folder, caller, roots)
		defer client.CloseIdleConnections()
		if _, err := answered(ctx, client, caller, asking); err != nil {
			return protect.Request{}, fmt.Errorf("ask for a nonce: %w", err)
		}
	}
	dressed, err := caller.Dress(call)
	if err != nil {
		return protect.Request{}, err
	}
	dressed.Header.Del("User-Agent") // curl has one of its own
	return dressed.Request, nil
}
