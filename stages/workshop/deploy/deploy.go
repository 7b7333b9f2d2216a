// Package deploy makes, once, what a deployment needs: authorities, certificates,
// pins, secrets, the registry of apps and the signed app packages.
//
// Everything is made on the machine that runs it and stays in the deployment's folder;
// nothing of it is in the repository.
package deploy

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/errgroup"

	"keyladder/backend/mediator/marketrates"
	"keyladder/backend/rates/customers"
	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// Options say what to make.
type Options struct {
	Dir       string // the deployment's folder
	Addresses deployment.Addresses
	Stages    catalog.Set    // what the apps are told to do
	Programs  build.Programs // the app's; nil: they are built

	// Packages are the roles that find the apps' packages in their folder; nil: all who use
	// them. They are large, and not every lab runs every program.
	Packages []deployment.Role

	PasswordCost *argon2id.Params // of the people's hashes; nil: what OWASP recommends
}

// Done is what [Init] did.
type Done string

// What Init can have done.
const (
	Made  Done = "made"
	Moved Done = "moved" // to other addresses, with all that is in it
	Kept  Done = "kept"  // as it is
)

// Init makes the deployment. One that is complete is kept, and follows to other addresses.
// One that was left half-written is made anew; one that was changed is an error.
func Init(ctx context.Context, o Options) (Done, error) {
	offline, err := existing(o)
	if err != nil {
		return "", err
	}
	if offline != nil {
		if offline.Addresses.Equal(o.Addresses) {
			return Kept, nil
		}
		if err := move(o, offline); err != nil {
			return "", fmt.Errorf("move the deployment in %s to other addresses: %w", o.Dir, err)
		}
		return Moved, nil
	}
	var m *material
	done := func() {}
	var both errgroup.Group
	both.Go(func() (err error) { done, err = o.build(ctx); return })
	both.Go(func() (err error) { m, err = generate(o.PasswordCost); return })
	err = both.Wait()
	defer done()
	if err == nil {
		err = write(o, m)
	}
	if err != nil {
		return "", fmt.Errorf("make the deployment in %s: %w", o.Dir, err)
	}
	return Made, nil
}

// build builds the app's programs where none are given. Done removes them, and is there
// whatever the error.
func (o *Options) build(ctx context.Context) (done func(), err error) {
	if o.Programs != nil {
		return func() {}, nil
	}
	folder, err := os.MkdirTemp("", "keyladder-program-")
	if err != nil {
		return func() {}, fmt.Errorf("build the app: %w", err)
	}
	o.Programs, err = build.Build(ctx, folder, Ways(o.Stages)...)
	return func() { os.RemoveAll(folder) }, err
}

// existing is the offline folder of a deployment that is complete; nil: one has to be made.
// That folder is written last, so without it the deployment was left half-written. That is
// not so where a program has made its database already: then the folder was taken away, as
// one does with keys that no program needs, and making everything anew would destroy what
// was booked.
func existing(o Options) (*deployment.Folder, error) {
	complete, err := deployment.Open(o.Dir, deployment.Offline)
	if errors.Is(err, deployment.ErrMissing) || errors.Is(err, deployment.ErrPartial) {
		if database := inUse(o.Dir); database != "" {
			return nil, fmt.Errorf("the folder %s is not there or not complete, but the deployment is in use (%s): put the folder back, or run `stages reset`",
				filepath.Join(o.Dir, string(deployment.Offline)), database)
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, role := range deployment.Roles() {
		folder, err := deployment.Open(o.Dir, role)
		if err != nil {
			return nil, fmt.Errorf("%w\nthe rest of the deployment is there, so it is not made anew: `stages reset` does that", err)
		}
		if folder.ID != complete.ID {
			return nil, fmt.Errorf("the folder %s belongs to another deployment: run `stages reset`", folder.Dir)
		}
	}
	return complete, nil
}

// inUse is the path of a program's database; empty: there is none.
func inUse(dir string) string {
	for _, role := range deployment.Roles() {
		entries, _ := os.ReadDir(filepath.Join(dir, string(role))) // what can't be read can't be emptied either
		for _, entry := range entries {
			if ext := filepath.Ext(entry.Name()); ext == ".db" || ext == ".made" {
				return filepath.Join(dir, string(role), entry.Name())
			}
		}
	}
	return ""
}

func write(o Options, m *material) error {
	registry, err := m.registry(apps)
	if err != nil {
		return err
	}
	credentials := map[string]Credentials{}
	for id, secret := range m.secrets {
		credentials[id] = Credentials{Key: id, Secret: secret, ClientSecret: m.clientSecrets[id]}
	}
	oauthClients, err := m.registry(clientsOfOAuth(o.Stages))
	if err != nil {
		return err
	}
	clientSecrets, err := json.MarshalIndent(m.clientSecrets, "", "  ")
	if err != nil {
		return err
	}
	packages, err := Pack(PackOptions{
		Programs: o.Programs, Stages: o.Stages, Addresses: o.Addresses, Developer: m.developer,
		Credentials: credentials, Clients: m.clients, Servers: []pki.Pair{m.server, m.auth, m.attest, m.mediator, m.backup}, Answers: m.answers,
	})
	if err != nil {
		return err
	}
	developer, err := x509.MarshalPKIXPublicKey(m.developer.Public())
	if err != nil {
		return err
	}
	developerKey, err := x509.MarshalPKCS8PrivateKey(m.developer)
	if err != nil {
		return err
	}
	attesterKey, attester, err := keyFiles(m.attester)
	if err != nil {
		return err
	}
	answers, err := json.Marshal(m.answers)
	if err != nil {
		return err
	}
	introspection, err := m.introspection()
	if err != nil {
		return err
	}
	secrets, err := json.MarshalIndent(m.secrets, "", "  ")
	if err != nil {
		return err
	}
	passwords, err := json.MarshalIndent(m.passwords, "", "  ")
	if err != nil {
		return err
	}
	// The third party knows the hash, so that the mediator alone has the key.
	ratesKeys, err := json.MarshalIndent([]customers.Key{{Customer: "harbour-bank", SHA256: customers.Hash(m.ratesKey)}}, "", "  ")
	if err != nil {
		return err
	}
	mediatorSecrets, err := json.MarshalIndent(map[string]string{marketrates.Secret: m.ratesKey}, "", "  ")
	if err != nil {
		return err
	}
	forwarding, err := json.MarshalIndent(token.NewKey(), "", "  ") // with which the gateway tells the API who calls
	if err != nil {
		return err
	}
	references, err := referencesOf(m.developer)
	if err != nil {
		return err
	}
	providers, err := m.providers()
	if err != nil {
		return err
	}
	fromTheStore := func(w *deployment.Writer) error {
		return errors.Join(
			w.File("roots.pem", m.serverCA.Certificate),
			w.File("developer.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: developer})))
	}
	toWhom := o.Packages
	if toWhom == nil {
		toWhom = withPackages
	}
	contents := map[deployment.Role]func(*deployment.Writer) error{
		deployment.Auth: func(w *deployment.Writer) error {
			return errors.Join(
				w.Pair("server", m.auth),
				w.File("clients.json", oauthClients),
				w.File("secrets.json", clientSecrets),
				w.File("users.json", m.users))
		},
		deployment.Lite: func(w *deployment.Writer) error { return m.writeLite(o, w) },
		deployment.Attestation: func(w *deployment.Writer) error {
			return errors.Join(w.Pair("server", m.attest), w.File("references.json", references), m.maker.writeKnown(w), w.File(deployment.AttesterKeyFile, attesterKey))
		},
		deployment.Mediator: func(w *deployment.Writer) error {
			return errors.Join(
				w.Pair("server", m.mediator),
				w.File(deployment.AttesterFile, attester),
				w.File("roots.pem", m.serverCA.Certificate), // for the servers that it asks
				w.File(deployment.ForwardingKey, forwarding),
				w.File("providers.json", providers),
				w.File("secrets.json", mediatorSecrets),
				w.File("sessions.key", m.sessionsKey))
		},
		deployment.Rates: func(w *deployment.Writer) error {
			return errors.Join(w.Pair("server", m.rates), w.File(customers.File, ratesKeys))
		},
		deployment.Resource: func(w *deployment.Writer) error {
			return errors.Join(
				w.Pair("server", m.server),
				w.File("client-ca.pem", m.clientCA.Certificate),
				w.File(deployment.ForwardingKey, forwarding),
				w.File("apps.json", registry),
				w.File("introspection.json", introspection),
				w.File("roots.pem", m.serverCA.Certificate), // for those whom it asks about tokens
				w.File("secrets.json", secrets),
				w.File("users.json", m.users))
		},
		deployment.Phone: func(w *deployment.Writer) error {
			// The passwords that people know: the phone's screen offers to type them in.
			return errors.Join(fromTheStore(w), w.File("passwords.json", passwords), m.maker.writePlant(w, m.maker.phones))
		},
		deployment.Admin: fromTheStore,
		deployment.Attacker: func(w *deployment.Writer) error {
			return errors.Join(
				fromTheStore(w),
				w.File("passwords.json", passwords), // the victim's for the scene, mallory's for the attacks
				w.Pair("server", m.server),          // for the bad TLS terminator
				m.maker.writePlant(w, m.maker.scenes),
				w.Pair("terminator", m.terminator))
		},
		deployment.Offline: func(w *deployment.Writer) error {
			errs := []error{
				w.Pair("server-ca", m.serverCA.Pair),
				w.Pair("client-ca", m.clientCA.Pair),
				w.Pair("manage-ca", m.manage.Pair),
				w.File("server.pem", m.server.Certificate), // for their pins, when apps are packed anew
				w.File("auth.pem", m.auth.Certificate),
				w.File("attestsvc.pem", m.attest.Certificate),
				w.File("mediator.pem", m.mediator.Certificate),
				w.Pair("server-backup", m.backup),
				w.File(AnswersFile, answers),
				m.maker.writeOffline(w),
				w.File("developer-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: developerKey})),
			}
			for id, pair := range m.clients {
				errs = append(errs, w.Pair("apps/"+id, pair))
			}
			return errors.Join(errs...)
		},
	}
	id, created := rand.Text(), time.Now().UTC()
	roles := deployment.Roles()
	writers := make([]*deployment.Writer, len(roles))
	var all errgroup.Group // each file waits for the disk
	for i, role := range roles {
		all.Go(func() error {
			w, err := deployment.NewWriter(o.Dir, role, id, created, o.Addresses)
			if err != nil {
				return err
			}
			writers[i] = w
			if role != deployment.Offline {
				pair, err := m.manage.Peer(string(role), slices.Concat(pki.LocalHosts, []string{string(role)})...)
				if err != nil {
					return err
				}
				if err := errors.Join(w.Pair("manage", pair), w.File("manage-ca.pem", m.manage.Certificate)); err != nil {
					return err
				}
			}
			return errors.Join(contents[role](w), w.Settings(role, deployment.DefaultSettings))
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if err := hand(packages, slices.DeleteFunc(slices.Clone(writers), func(w *deployment.Writer) bool { return !slices.Contains(toWhom, w.Role()) })); err != nil {
		return err
	}
	// No program can use its folder before all folders have their files.
	for _, w := range writers {
		if err := w.Close(); err != nil {
			return err
		}
	}
	return nil
}

// hand gives the packages to all who use them. They are large, so they are written once.
func hand(packages map[string][]byte, to []*deployment.Writer) error {
	for name, data := range packages {
		if err := to[0].File(name, data); err != nil {
			return err
		}
		for _, other := range to[1:] {
			if err := other.Same(name, to[0]); err != nil {
				return err
			}
		}
	}
	return nil
}
