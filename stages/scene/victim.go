package scene

import (
	"context"
	"fmt"
	"os"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/phone"
	"keyladder/stages/catalog"
)

// victim is alice, with the genuine app on her phone.
type victim struct {
	device      *device.Device
	app         *device.App
	name        string // of the app's package
	stage       catalog.Stage
	credentials phone.Credentials
	dir         string
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
	v := &victim{dir: dir, stage: stage, credentials: phone.Credentials{User: victimsName, Password: s.passwords[victimsName]}}
	if v.device, err = s.newDevice(dir, victimsName); err != nil {
		v.leave()
		return nil, err
	}
	installed, err := v.device.Install(s.packageFile(stage))
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

// signIn signs the victim in where the stage knows users.
func (v *victim) signIn(ctx context.Context) error {
	if v.stage.Policy.UserProof == catalog.NoUser {
		return nil
	}
	screen, err := v.app.SignIn(ctx, v.credentials.User, v.credentials.Password)
	if err == nil && !screen.OK {
		err = fmt.Errorf("the victim can't sign in: %s", screen.Error)
	}
	return err
}

// useLookAlike has the victim install an app that looks like the bank's, which the
// store let in, and sign in with it. What the app shows is of no account.
func (s *Station) useLookAlike(ctx context.Context, stage catalog.Stage, packagePath string) error {
	dir, err := os.MkdirTemp("", "keyladder-victim-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	deceived, err := s.newDevice(dir, victimsName)
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
	_, err = app.SignIn(ctx, victimsName, s.passwords[victimsName])
	return err
}

// join makes the phone use an access point; empty: none. The address is one that the
// attacker listens on, so it can only be wrong by mistake.
func (v *victim) join(accessPoint string) {
	if err := v.device.SetNetwork(device.Network{AccessPoint: accessPoint}); err != nil {
		panic(fmt.Sprintf("scene: %v", err))
	}
}

// pay pays bob.
func (v *victim) pay(ctx context.Context, reference string) (device.Screen, error) {
	return v.app.Transfer(ctx, device.Payment{
		From: catalog.AliceAccount, To: catalog.BobAccount, Amount: 100, Reference: reference,
	})
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
