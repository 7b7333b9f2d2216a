package scene

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"keyladder/internal/manage"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
)

// victim is alice, with the genuine app on her phone.
type victim struct {
	device *device.Device
	app    *device.App
	name   string // of the app's package
	stage  catalog.Stage
	person person.Person
	dir    string
}

func (s *Station) newVictim(ctx context.Context, slug string) (*victim, error) {
	stage, ok := s.stages.Lookup(slug)
	if !ok {
		return nil, fmt.Errorf("there is no stage %q: the stages are %s", slug, s.stages.Slugs())
	}
	if !stage.Built {
		return nil, fmt.Errorf("the stage %q is not built yet", slug)
	}
	dir, err := os.MkdirTemp("", "keyladder-victim-")
	if err != nil {
		return nil, err
	}
	v := &victim{dir: dir, stage: stage, person: s.people.Named(victimsName)}
	if v.device, err = s.newDevice(dir, victimsName, stage.Slug); err != nil {
		v.leave()
		return nil, err
	}
	installed, err := s.Shelf.Install(v.device, s.packageFile(stage))
	if err != nil {
		v.leave()
		return nil, err
	}
	v.name = installed.Name
	if v.app, err = v.device.Launch(ctx, v.name, slug); err != nil {
		v.leave()
		return nil, err
	}
	return v, nil
}

// signIn signs the victim in where the app wants that.
func (v *victim) signIn(ctx context.Context) error {
	screen, err := v.person.EnsureSignedIn(ctx, v.device, v.app)
	if err == nil && !screen.OK {
		err = fmt.Errorf("the victim can't sign in: %s", screen.Error)
	}
	return err
}

// spied signs the victim in, and returns the addresses that the user agent went through.
func (v *victim) spied(ctx context.Context) (addresses []string, err error) {
	return v.watched(ctx, v.signIn)
}

// watched returns the addresses that the user agent goes through while the victim does something.
func (v *victim) watched(ctx context.Context, do func(context.Context) error) (addresses []string, err error) {
	v.device.Agent().Spy(func(address string) { addresses = append(addresses, address) })
	defer v.device.Agent().Spy(nil)
	err = do(ctx)
	return addresses, err
}

// besides is a place beside the genuine app on the victim's phone.
func (v *victim) besides() *attack.Thief {
	return &attack.Thief{
		Install: func(packagePath string) error {
			v.device.AllowSideloading(true) // the store has let it in
			_, err := v.device.Install(packagePath)
			return err
		},
		SignsIn: func(ctx context.Context) error {
			_, err := v.person.SignIn(ctx, v.device, v.app)
			return err
		},
		SignsInAt: func(ctx context.Context, provider string) error {
			who := v.person
			who.Provider = provider
			_, err := who.SignIn(ctx, v.device, v.app)
			return err
		},
	}
}

// lured has a victim follow a link that somebody has sent, and returns the last address that the
// user agent has loaded from an origin, with its fragment; empty: it has loaded none.
func (s *Station) lured(ctx context.Context, slug, link, origin string) (location string, err error) {
	v, err := s.newVictim(ctx, slug)
	if err != nil {
		return "", err
	}
	defer v.leave()
	v.device.Agent().Spy(func(address string) {
		if u, err := url.Parse(address); err == nil && u.Scheme+"://"+u.Host == origin {
			location = address
		}
	})
	_, err = v.person.Follow(ctx, v.device, link, slug)
	return location, err
}

// startAnew closes the app, starts it again and looks at the accounts.
func (v *victim) startAnew(ctx context.Context) (device.Screen, error) {
	err := v.app.Close()
	if err != nil {
		return device.Screen{}, err
	}
	if v.app, err = v.device.Launch(ctx, v.name, v.stage.Slug); err != nil {
		return device.Screen{}, err
	}
	return v.app.Accounts(ctx)
}

// useLookAlike has the victim install an app that looks like the bank's, which the
// store let in, and sign in with it. The screens that the app shows do not matter.
func (s *Station) useLookAlike(ctx context.Context, stage catalog.Stage, packagePath string) error {
	dir, err := os.MkdirTemp("", "keyladder-victim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	deceived, err := s.newDevice(dir, victimsName, stage.Slug)
	if err != nil {
		return err
	}
	defer deceived.Close()
	deceived.AllowSideloading(true)
	installed, err := deceived.Install(packagePath)
	if err != nil {
		return err
	}
	app, err := deceived.Launch(ctx, installed.Name, stage.Slug)
	if err != nil {
		return err
	}
	defer app.Close()
	victim := s.people.Named(victimsName)
	if victim.Used, err = s.usualWay(ctx, deceived, stage); err != nil {
		return err
	}
	_, err = victim.SignIn(ctx, deceived, app)
	return err
}

// usualWay is how the genuine app has people sign in, which its users know.
func (s *Station) usualWay(ctx context.Context, d *device.Device, stage catalog.Stage) (device.SignInWay, error) {
	installed, err := s.Shelf.Install(d, s.packageFile(stage))
	if err != nil {
		return "", err
	}
	app, err := d.Launch(ctx, installed.Name, stage.Slug)
	if err != nil {
		return "", err
	}
	defer app.Close()
	home, err := app.Home(ctx)
	return home.SignIn, err
}

// join makes the phone use an access point; empty: none. The address is one that the
// attacker listens on, so it can only be wrong by mistake.
func (v *victim) join(accessPoint string) {
	if err := v.device.SetNetwork(device.Network{AccessPoint: accessPoint}); err != nil {
		panic(fmt.Sprintf("scene: %v", err))
	}
}

// pay pays bob.
func (v *victim) pay(ctx context.Context, reference string) (screen device.Screen, err error) {
	whenServed(ctx, func() int {
		screen, err = v.app.Transfer(ctx, device.Payment{
			From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100, Reference: reference,
		})
		return screen.Status
	})
	return screen, err
}

// use does what the app's users do, and pays with the reference.
func (v *victim) use(ctx context.Context, reference string) (run manage.Run) {
	whenServed(ctx, func() int {
		run = v.person.Exercise(ctx, v.device, v.app, reference)
		return run.Calls[len(run.Calls)-1].Status
	})
	return run
}

// whenServed does something with an app again where a rate limit has refused it, for
// example after a flood. From the stage on at which answers are signed, the app leaves
// that to its user: a refusal that comes before the app is known could be anybody's.
func whenServed(ctx context.Context, do func() (status int)) {
	for range 3 {
		if do() != http.StatusTooManyRequests || pause(ctx, time.Second) != nil {
			return
		}
	}
	do()
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (v *victim) leave() {
	if v.app != nil {
		v.app.Close()
	}
	if v.device != nil {
		v.device.Close()
	}
	os.RemoveAll(v.dir)
}
