package phone

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
)

// Stage finds a stage that can be used, or says which there are.
func Stage(stages catalog.Set, slug string) (catalog.Stage, error) {
	stage, ok := stages.Lookup(slug)
	switch {
	case !ok:
		return stage, fmt.Errorf("there is no stage %q: the stages are %s%s", slug, stages.Built().Slugs(), program.DidYouMean(slug, strings.Split(stages.Slugs(), ", ")))
	case !stage.Built:
		return stage, fmt.Errorf("the stage %q is not built yet: those that are: %s", slug, stages.Built().Slugs())
	}
	return stage, nil
}

// Use has the phone use a stage from now on.
func (p *Phone) Use(slug string) error {
	if _, err := Stage(p.config.Stages, slug); err != nil {
		return err
	}
	return p.change(func(s *state) { s.Stage = slug })
}

// UseApp has the phone use one of the bank's apps from now on, where the stage has it.
func (p *Phone) UseApp(name string) error {
	if name != AppName && name != OpsName {
		return fmt.Errorf("the bank has no app %q", name)
	}
	stage := p.stage()
	there, err := p.store.Find(name, stage.Package.Release)
	if err != nil {
		return err
	}
	if there == nil {
		return fmt.Errorf("the stage %q does not use the app %s", stage.Slug, name)
	}
	return p.change(func(s *state) { s.App = name })
}

// change changes what is in use, and installs what that needs. An app that its owner took
// off stays off.
func (p *Phone) change(change func(*state)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.state
	change(&p.state)
	if reflect.DeepEqual(p.state, before) {
		return nil
	}
	err := p.save()
	if err == nil && (p.state.Stage != before.Stage || p.state.App != before.App) {
		_, customers := p.installed(AppName)
		if customers || p.state.App != before.App {
			err = p.equip()
		}
	}
	if err != nil {
		p.state = before
		return errors.Join(err, p.save())
	}
	return nil
}

// using is the stage and the app in use.
func (p *Phone) using() (catalog.Stage, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stage, _ := p.config.Stages.Lookup(p.state.Stage) // it was looked up before it was set
	name, err := p.appName(stage)
	return stage, name, err
}

// stage is the stage in use.
func (p *Phone) stage() catalog.Stage {
	p.mu.Lock()
	defer p.mu.Unlock()
	stage, _ := p.config.Stages.Lookup(p.state.Stage) // it was looked up before it was set
	return stage
}

// followAPI updates the bank's apps when the API has moved since the last start: those that are
// installed would find nobody where it was.
func (p *Phone) followAPI() error {
	address := p.config.Folder.Addresses.URL(deployment.API)
	if p.state.API == address {
		return nil
	}
	for _, name := range []string{AppName, OpsName} {
		installed, ok := p.installed(name)
		if !ok || !installed.Genuine || p.state.API == "" {
			continue
		}
		newest, err := p.store.Find(name, installed.Release)
		if err != nil {
			return err
		}
		if newest != nil {
			if _, err := p.device.Install(newest.Path); err != nil {
				return err
			}
		}
	}
	p.state.API = address
	return p.save()
}

// appName is the app in use: the chosen one, if the stage has it. The caller holds p.mu,
// or is alone.
func (p *Phone) appName(stage catalog.Stage) (string, error) {
	if p.state.App == "" || p.state.App == AppName {
		return AppName, nil
	}
	there, err := p.store.Find(p.state.App, stage.Package.Release)
	if err != nil || there == nil {
		return AppName, err
	}
	return p.state.App, nil
}

// equip installs the app in use, in the release that the stage uses, unless somebody has
// put another signer's in its place. An update within the release is the owner's to
// make. The caller holds p.mu, or is alone.
func (p *Phone) equip() error {
	stage, err := Stage(p.config.Stages, p.state.Stage)
	if err != nil {
		return err
	}
	name, err := p.appName(stage)
	if err != nil {
		return err
	}
	installed, ok := p.installed(name)
	if ok && (!installed.Genuine || installed.Release == stage.Package.Release) {
		return nil
	}
	return p.update(name, stage)
}

// update installs what the store has of an app for the stage.
func (p *Phone) update(name string, stage catalog.Stage) error {
	wanted, err := p.store.Find(name, stage.Package.Release)
	if err != nil {
		return err
	}
	if wanted == nil {
		return fmt.Errorf("the app store has no release %d of %s, which the stage %q uses: run `stages reset`", stage.Package.Release, name, stage.Slug)
	}
	_, err = p.device.Install(wanted.Path)
	return err
}

// outdated is whether the store has another package of the same release than the one
// that is installed: the bank has packed the app anew.
func (p *Phone) outdated(name string, stage catalog.Stage) bool {
	installed, ok := p.installed(name)
	if !ok || !installed.Genuine {
		return false
	}
	newest, err := p.store.Find(name, stage.Package.Release)
	return err == nil && newest != nil && newest.SHA256 != installed.SHA256
}

// installed is an app as it is on the device.
func (p *Phone) installed(name string) (device.Installed, bool) {
	packages := p.device.Installed()
	i := slices.IndexFunc(packages, func(i device.Installed) bool { return i.Name == name })
	if i < 0 {
		return device.Installed{}, false
	}
	return packages[i], true
}
