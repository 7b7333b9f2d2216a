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

	"keyladder/internal/deployment"
	"keyladder/mobileclient/device/hardware"
	"keyladder/mobileclient/factory"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

// installationFile has the name of the app's installation, in the folder of a phone's secure hardware.
const installationFile = "installation"

// appOnPhone is the bank's app on a phone. Close it.
type appOnPhone struct {
	*deploy.App
	thrownAway string // folder of the phone's secure hardware, which is not kept; empty: it is
}

// Close switches the phone off, and throws it away if it was for this use alone.
func (a appOnPhone) Close() {
	a.App.Close()
	if a.thrownAway != "" {
		os.RemoveAll(a.thrownAway) // a folder of the system's for what is temporary
	}
}

// openPhone is the bank's app on a phone whose secure hardware is in a folder, and is made where it is not
// there. An empty name is that of a phone which is thrown away.
func openPhone(folder *deployment.Folder, stage catalog.Stage, dir string) (a appOnPhone, err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "keyladder-phone-"); err != nil {
			return a, err
		}
		a.thrownAway = dir
		defer func() {
			if err != nil {
				os.RemoveAll(dir)
			}
		}()
	}
	plant, err := factory.Open(folder)
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
	a.App, err = deploy.OpenApp(folder.Path(deploy.PackageName(stage.Package.Release)), string(installation), dir)
	return a, err
}

// phoneSigner proves requests with the app's key, which is in the secure hardware of a phone.
type phoneSigner struct {
	folder *deployment.Folder // the phone's
	phone  string             // folder of its secure hardware
	nonce  string             // of the server that the request is for; empty: it is asked for one
}

var errNoPhone = errors.New("sign with a phone's key: name the folder of its secure hardware with --phone, as \"stages token --phone FOLDER\" has made it")

// sign signs a request, or puts a proof into it, whatever the stage's calls carry. What the app says of
// itself and of its user has to be among the fields already.
func (p phoneSigner) sign(ctx context.Context, stage catalog.Stage, call protect.Call) (protect.Request, error) {
	if !hardware.Exists(p.phone) {
		return protect.Request{}, errNoPhone
	}
	app, err := openPhone(p.folder, stage, p.phone)
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
