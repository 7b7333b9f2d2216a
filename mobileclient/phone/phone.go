package phone

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/statefile"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/device/confine"
	"keyladder/mobileclient/factory"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
)

// Names of the bank's apps on a device.
const (
	AppName = "com.harbourbank.app" // for customers
	OpsName = "com.harbourbank.ops" // for its staff; the same program, packed with other settings
)

// Owner is whose phone it is.
const Owner = "alice"

// Config is what a phone is made with.
type Config struct {
	Folder *deployment.Folder
	Stages catalog.Set
	Log    *traffic.Log
	Stage  string // to use now; empty, or the same as at the last start: the one that was chosen last

	AdminURL string // where a browser finds the admin UI; empty: no links
}

// Listeners are where the phone answers.
type Listeners struct {
	Screen net.Listener // people with a browser
	Manage net.Listener // the admin UI
}

// Phone is a device with the bank's app on it, and its owner.
type Phone struct {
	config Config
	store  *Store
	people person.People
	device *device.Device
	manage *manage.Server
	codes  codes

	exercising sync.Mutex // held while the management API uses an app
	uploading  sync.Mutex // held while a package arrives

	mu      sync.Mutex
	state   state
	app     *device.App // nil: not started yet
	notice  *notice     // for the next page
	lastIDs []string    // account numbers seen last, one's own first
}

// state is what the phone remembers beside what the device does.
type state struct {
	Stage      string `json:"stage"`
	App        string `json:"app,omitempty"` // that was chosen; empty: the customers'
	Configured string `json:"configured"`    // Config.Stage of the last start
	API        string `json:"api"`           // its public address at the last start

	Paired []paired `json:"paired,omitempty"` // browsers that may use the screen
}

const stateFile = "phone.json"

// New switches the phone on. Apps, settings and the stage from before are there again.
func New(config Config) (*Phone, error) {
	p := &Phone{config: config}
	if err := errors.Join(p.removeUploads(), p.load()); err != nil {
		return nil, err
	}
	for _, weakness := range confine.Weaknesses() {
		slog.Warn("phone: " + weakness)
	}
	var err error
	p.store = NewStore(config.Folder)
	if p.people, err = person.Known(config.Folder); err != nil {
		return nil, err
	}
	if p.device, err = NewDevice(config.Folder, filepath.Join(config.Folder.Dir, "device"), config.Log); err != nil {
		return nil, err
	}
	if err := errors.Join(p.followAPI(), p.equip()); err != nil {
		return nil, errors.Join(err, p.device.Close())
	}
	p.manage = manage.NewServer(config.Folder, config.Log, p.healthy)
	p.manageRoutes()
	return p, nil
}

// load decides on the stage: the one that was asked for now, if that is new, or else
// the one that was chosen last.
func (p *Phone) load() error {
	path := p.config.Folder.Path(stateFile)
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read the phone's state: %w", err)
	}
	if err == nil {
		if err := json.Unmarshal(data, &p.state); err != nil {
			return fmt.Errorf("%[1]s is damaged (%[2]w): put back a copy, or type `rm %[1]s`, after which the phone begins at the first stage and wants to be paired anew", path, err)
		}
	}
	asked := p.config.Stage
	if asked != "" {
		if _, err := Stage(p.config.Stages, asked); err != nil {
			return err
		}
	}
	if asked != "" && asked != p.state.Configured {
		p.state.Stage = asked
	}
	p.state.Configured = asked
	if _, err := Stage(p.config.Stages, p.state.Stage); err != nil { // none yet, or no longer there
		p.state.Stage = cmp.Or(asked, p.config.Stages.Built()[0].Slug)
	}
	return p.save()
}

// save writes the state; the caller holds p.mu, or is alone.
func (p *Phone) save() error {
	data, err := json.Marshal(p.state)
	if err != nil {
		return err
	}
	path := p.config.Folder.Path(stateFile)
	if err := statefile.Write(path, data); err != nil {
		return fmt.Errorf("save the phone's state: %w", err)
	}
	return nil
}

// NewDevice is a phone of the deployment whose folder it is: with its trust store, and
// its developer known to the app store.
func NewDevice(folder *deployment.Folder, dir string, log *traffic.Log) (*device.Device, error) {
	roots, err := folder.Read("roots.pem")
	if err != nil {
		return nil, err
	}
	text, err := folder.Read("developer.pub")
	if err != nil {
		return nil, err
	}
	developer, err := publicKey(text)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", folder.Path("developer.pub"), err)
	}
	plant, err := factory.Open(folder)
	if err != nil && !errors.Is(err, factory.ErrNone) {
		return nil, err
	}
	if err := plant.Make(device.HardwareFolder(dir)); err != nil {
		return nil, err
	}
	return device.New(device.Config{
		Dir: dir, Owner: Owner, Roots: roots, Routes: folder.Addresses.Routes(), Servers: folder.Addresses.Roles(),
		Log: log, Developers: []ed25519.PublicKey{developer},
	})
}

func publicKey(text []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM in it")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	developer, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a %T in it, not an Ed25519 key", key)
	}
	return developer, nil
}

// Serve answers on the listeners until ctx ends, then stops the app.
func (p *Phone) Serve(ctx context.Context, listeners Listeners) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.serveScreen(ctx, listeners.Screen) })
	group.Go(func() error { return p.manage.Serve(ctx, listeners.Manage) })
	err := group.Wait()
	return errors.Join(err, p.device.Close())
}

// running is the app in use. It is started when it does not run, has died, or was
// started for another stage.
func (p *Phone) running(ctx context.Context) (*device.App, error) {
	stage, name, err := p.using()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if app := p.app; app != nil {
		select {
		case <-app.Done():
		default:
			if app.Stage() == stage.Slug && app.Package().Name == name {
				return app, nil
			}
			if err := app.Close(); err != nil {
				return nil, err
			}
		}
		p.app = nil
	}
	app, err := p.device.Launch(ctx, name, stage.Slug)
	if err != nil {
		return nil, err
	}
	p.app = app
	return app, nil
}

// ask has the app do something. Where it can't even be asked, the screen says so.
func (p *Phone) ask(ctx context.Context, do func(*device.App) (device.Screen, error)) device.Screen {
	app, err := p.running(ctx)
	if err == nil {
		var screen device.Screen
		if screen, err = do(app); err == nil {
			return screen
		}
	}
	switch {
	case errors.Is(err, device.ErrNotInstalled):
		return device.Screen{Error: "The bank's app is not on this phone. Install it from the app store, under Settings."}
	case errors.Is(err, device.ErrStopped):
		return device.Screen{Error: "The app stopped. It is started again with the next tap. (" + err.Error() + ")"}
	}
	return device.Screen{Error: "The app could not do that: " + err.Error() + "."}
}

func (p *Phone) healthy(ctx context.Context) error {
	if err := statefile.CanWrite(p.config.Folder.Dir); err != nil {
		return err
	}
	_, name, err := p.using()
	if err != nil {
		return err
	}
	if _, ok := p.installed(name); !ok {
		return nil // its owner took it off: the phone is fine
	}
	_, err = p.running(ctx)
	return err
}
