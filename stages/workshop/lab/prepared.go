package lab

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"sync"

	"github.com/alexedwards/argon2id"

	attestation "keyladder/attestsvc/server"
	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

// prepared is a deployment in which nothing runs. A throw-away lab starts as a copy of it,
// one lab at a time because the packages have its ports built in. Each begins with the same keys and
// packages, which its attestation service has looked at, and with databases, devices and sessions of
// its own.
type prepared struct {
	dir    string
	stages string // what its packages hold of the stages, see [packed]
	ports  deployment.Ports
}

// packed is what packages hold of the stages, as JSON: policies that servers alone go by are not part
// of it.
func packed(stages catalog.Set) (string, error) {
	type held struct {
		Slug    string
		Call    catalog.Call
		Package catalog.Package
	}
	var all []held
	for _, stage := range stages.Built() {
		all = append(all, held{stage.Slug, stage.Call, stage.Package})
	}
	data, err := json.Marshal(all)
	return string(data), err
}

// shared is what the labs of the process share. It stays until [Cleanup].
var shared workshop

type workshop struct {
	mu       sync.Mutex
	dir      string         // empty: nothing is shared yet
	programs build.Programs // the app's; nil: they have not been built
	idle     []*prepared
	shelf    device.Shelf // with the packages, of which the labs have links
}

// Cleanup removes what labs of this process share. Call it when the last one is closed.
func Cleanup() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	shared.shelf.Close()
	dir := shared.dir
	shared.dir, shared.programs, shared.idle = "", nil, nil
	if dir == "" {
		return nil
	}
	return os.RemoveAll(dir)
}

// folder makes a folder that stays until Cleanup; w.mu is held.
func (w *workshop) folder(name string) (dir string, err error) {
	if w.dir == "" {
		if w.dir, err = os.MkdirTemp("", "keyladder-labs-"); err != nil {
			return "", err
		}
	}
	return os.MkdirTemp(w.dir, name)
}

// appPrograms builds the app's programs, once.
func (w *workshop) appPrograms(ctx context.Context) (build.Programs, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.programs != nil {
		return w.programs, nil
	}
	dir, err := w.folder("programs-")
	if err != nil {
		return nil, err
	}
	programs, err := build.Build(ctx, dir, deploy.Ways(catalog.All())...)
	if err != nil {
		return nil, err
	}
	w.programs = programs
	return programs, nil
}

// take hands out an idle one for the stages; nil: there is none.
func (w *workshop) take(stages string) *prepared {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.idle, func(m *prepared) bool { return m.stages == stages })
	if i < 0 {
		return nil
	}
	m := w.idle[i]
	w.idle = slices.Delete(w.idle, i, i+1)
	return m
}

func (w *workshop) putBack(m *prepared) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle = append(w.idle, m)
}

// copyPrepared makes the lab's deployment as a copy of an idle one. It prepares one
// where there is none, or where somebody else has taken its ports meanwhile.
func (l *Lab) copyPrepared(ctx context.Context, stages catalog.Set) (program.Listeners, error) {
	wanted, err := packed(stages)
	if err != nil {
		return nil, err
	}
	var found program.Listeners
	for found == nil {
		m := shared.take(wanted)
		if m == nil {
			break
		}
		if found, err = listen(Options{Ports: m.ports}); err == nil {
			l.prepared = m
		}
	}
	if found == nil {
		if found, err = listen(Options{}); err != nil {
			return nil, err
		}
		if l.prepared, err = prepare(ctx, stages, found); err != nil {
			found.Close()
			return nil, err
		}
		l.prepared.stages = wanted
	}
	l.Done, l.Ports = deploy.Made, found.Ports()
	l.Addresses = deployment.Local(l.Ports)
	if err := deploy.Link(l.prepared.dir, l.Dir); err != nil {
		found.Close()
		return nil, err
	}
	return found, nil
}

// cheap is what checking a password costs in a throw-away lab. Nobody gets to keep its hashes, and
// every cell of the matrix has people sign in several times.
var cheap = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// prepare makes a deployment for the ports of the listeners.
func prepare(ctx context.Context, stages catalog.Set, listeners program.Listeners) (*prepared, error) {
	programs, err := shared.appPrograms(ctx)
	if err != nil {
		return nil, err
	}
	m := &prepared{ports: listeners.Ports()}
	shared.mu.Lock()
	m.dir, err = shared.folder("prepared-")
	shared.mu.Unlock()
	if err != nil {
		return nil, err
	}
	_, err = deploy.Init(ctx, deploy.Options{
		Dir: m.dir, Addresses: deployment.Local(m.ports), Stages: stages, Programs: programs,
		Packages:     []deployment.Role{deployment.Attestation, deployment.Attacker}, // phone and admin UI do not run in such a lab
		PasswordCost: &cheap,
	})
	if err != nil {
		return nil, err
	}
	return m, m.register(stages)
}

// register has the attestation service know the packages, which it reads as a whole for that: once,
// and not anew in each lab.
func (m *prepared) register(stages catalog.Set) error {
	folder, err := deployment.Open(m.dir, deployment.Attestation)
	if err != nil {
		return err
	}
	service, err := attestation.New(attestation.Config{Folder: folder, Stages: stages}.With(deployment.DefaultSettings))
	if err != nil {
		return err
	}
	return service.Close()
}
