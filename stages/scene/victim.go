package scene

import (
	"context"
	"fmt"
	"os"

	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// victim is alice, with the genuine app on her phone.
type victim struct {
	device *device.Device
	app    *device.App
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
	v := &victim{dir: dir}
	if v.device, err = s.newDevice(dir, "alice"); err != nil {
		v.leave()
		return nil, err
	}
	installed, err := v.device.Install(s.packageFile(stage))
	if err != nil {
		v.leave()
		return nil, err
	}
	if v.app, err = v.device.Launch(ctx, installed.Name, slug); err != nil {
		v.leave()
		return nil, err
	}
	return v, nil
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
