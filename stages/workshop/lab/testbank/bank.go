package testbank

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"

	"keyladder/backend/guard"
	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/factory"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

// Options say what kind of bank to start. The zero value is the bank of the catalog.
type Options struct {
	Stages  catalog.Set
	Address guard.Limit // calls from one address; zero: more than any test makes

	// ShortTokens is how long access tokens live that can be refreshed, in whole seconds; 0: as
	// the deployment has it.
	ShortTokens time.Duration

	// IntegrityTokens is how long client integrity tokens live, in whole seconds; 0: as the
	// deployment has it.
	IntegrityTokens time.Duration

	// BackupKey has the bank show the key that it keeps offline: the other one whose pin
	// packages hold.
	BackupKey bool
}

// ManyCalls are settings of a lab whose callers share an address, as all on one machine do, and
// call at once or in a loop: how fast the machine is must not decide whether they are refused.
func ManyCalls() map[string]string {
	return map[string]string{"address_per_second": "1000", "address_burst": "10000"}
}

// Bank is a running bank.
type Bank struct {
	*Front
	Stages    catalog.Set
	Roots     []byte             // PEM: who issued the bank's certificate
	Developer ed25519.PrivateKey // signs packages
	Passwords map[string]string  // of people, by name
	Log       *traffic.Log       // what the resource server records
	AuthURL   string             // of the authorization server, without a path; empty: no stage has one
	AuthLog   *traffic.Log       // what that records

	LiteURL string       // of the other company's authorization server, without a path; empty: it has no part in a stage
	LiteLog *traffic.Log // what that records

	AttestationURL string       // of the attestation service, without a path; empty: no stage has one
	AttestationLog *traffic.Log // what that records
	MediatorURL    string       // of the mediator, without a path; empty: no stage has one
	MediatorLog    *traffic.Log // what that records
	RatesURL       string       // of the third party's rates API, without a path; empty: no stage has a gateway
	RatesLog       *traffic.Log // what that records

	t       testing.TB
	options Options
	dir     string
	folders map[deployment.Role]*deployment.Folder
	ahead   atomic.Int64 // of its clock, in nanoseconds
	stop    func()       // the resource server
	manage  *manage.Client

	auth        auth
	lite        lite
	attestation attestation
	mediating   mediating
	inside      *door // where the resource server hears the gateway; nil: no stage has one
	rating      rating
}

// Start starts a bank that stops at the end of the test.
func Start(t testing.TB, options Options) *Bank {
	t.Helper()
	if options.Stages == nil {
		options.Stages = catalog.All()
	}
	if options.Address == (guard.Limit{}) {
		options.Address = guard.Limit{PerSecond: 1000, Burst: 10_000}
	}
	b := &Bank{
		t: t, options: options, Stages: options.Stages, dir: t.TempDir(), Log: traffic.New(string(deployment.Resource), 4096),
		AuthLog: traffic.New(string(deployment.Auth), 4096), LiteLog: traffic.New(string(deployment.Lite), 4096), AttestationLog: traffic.New(string(deployment.Attestation), 4096),
		MediatorLog: traffic.New(string(deployment.Mediator), 4096), RatesLog: traffic.New(string(deployment.Rates), 4096), folders: map[deployment.Role]*deployment.Folder{},
	}
	made, err := deploymentOfProcess()
	b.must(err)
	b.must(deploy.Link(made, b.dir))
	for _, role := range deployment.Roles() {
		b.folders[role], err = deployment.Open(b.dir, role)
		b.must(err)
	}
	b.Roots = b.read(deployment.Phone, "roots.pem")
	b.must(b.folders[deployment.Phone].JSON("passwords.json", &b.Passwords))
	block, _ := pem.Decode(b.read(deployment.Offline, "developer-key.pem"))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	b.must(err)
	b.Developer = key.(ed25519.PrivateKey)

	b.Front = b.newFront()
	addresses := deployment.Addresses{Public: map[deployment.ServiceName]string{
		deployment.PlainAPI: b.Plain, deployment.API: b.TLS, // as clients know them
	}}
	b.listenAuth(addresses.Public)
	b.listenLite(addresses.Public)
	b.listenAttestation(addresses.Public)
	b.listenMediator(addresses.Public)
	b.listenRates(addresses.Public)
	for _, folder := range b.folders {
		folder.Addresses = addresses
	}
	b.StartAuth()
	t.Cleanup(b.StopAuth)
	b.StartLite()
	t.Cleanup(b.StopLite)
	b.StartAttestation()
	t.Cleanup(b.StopAttestation)
	b.StartRates()
	t.Cleanup(b.StopRates)
	b.open()
	t.Cleanup(func() { b.stop() })
	b.StartMediator() // which looks at once whether there is an API
	t.Cleanup(b.StopMediator)
	b.awaitAttestation()
	return b
}

func (b *Bank) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *Bank) read(role deployment.Role, name string) []byte {
	b.t.Helper()
	data, err := b.folders[role].Read(name)
	b.must(err)
	return data
}

// Equip puts secure hardware into the folder of a device that is going to be made.
func (b *Bank) Equip(dir string) {
	b.t.Helper()
	plant, err := factory.Open(b.folders[deployment.Phone])
	b.must(err)
	b.must(plant.Make(device.HardwareFolder(dir)))
}

// open starts the resource server behind the front.
func (b *Bank) open() {
	b.t.Helper()
	server, err := resource.New(resource.Config{
		Folder: b.folders[deployment.Resource], Stages: b.Stages, Log: b.Log, Address: b.options.Address,
		Logger: slog.New(slog.DiscardHandler), Now: b.now,
	})
	b.must(err)
	listeners := resource.Listeners{Plain: b.listen(), Terminated: b.listen(), Manage: b.listen()}
	if b.inside != nil {
		listeners.Inside = b.inside.open()
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listeners) }()
	b.stop = func() {
		cancel()
		if err := errors.Join(<-served, server.Close()); err != nil {
			b.t.Error(err)
		}
	}
	b.Front.behind(listeners.Plain.Addr().String(), listeners.Terminated.Addr().String())
	admin := *b.folders[deployment.Admin]
	admin.Addresses.Public = map[deployment.ServiceName]string{deployment.Manage(deployment.Resource): "https://" + listeners.Manage.Addr().String()}
	b.manage, err = manage.NewClient(&admin, deployment.Resource)
	b.must(err)
}

func (b *Bank) listen() net.Listener {
	b.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	return listener
}

// door takes a port for a server that is started later.
func (b *Bank) door() *door {
	b.t.Helper()
	listener := b.listen()
	b.t.Cleanup(func() { listener.Close() })
	return newDoor(listener)
}

// Manage is the client of the bank's management.
func (b *Bank) Manage() *manage.Client { return b.manage }

func (b *Bank) now() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }

// SetClock sets the bank's clock.
func (b *Bank) SetClock(ahead time.Duration) { b.ahead.Store(int64(ahead)) }

// SetBack has the bank start again with an empty database: it knows no devices, no sessions
// and no transfers.
func (b *Bank) SetBack() {
	b.t.Helper()
	b.stop()
	databases, err := filepath.Glob(b.folders[deployment.Resource].Path("*.db*"))
	b.must(err)
	for _, path := range databases {
		b.must(os.Remove(path))
	}
	b.open()
}

// Developers are those whose packages phones take.
func (b *Bank) Developers() []ed25519.PublicKey {
	return []ed25519.PublicKey{b.Developer.Public().(ed25519.PublicKey)}
}

// Folders are where the bank, and what it shares with others, keeps its files.
func (b *Bank) Folders() []string { return []string{b.dir, process.dir} }

// Pair is the certificate with its key that a client was given.
func (b *Bank) Pair(clientID string) pki.Pair {
	b.t.Helper()
	return pki.Pair{
		Certificate: b.read(deployment.Offline, "apps/"+clientID+".pem"),
		Key:         b.read(deployment.Offline, "apps/"+clientID+"-key.pem"),
	}
}

// Secret is a client's.
func (b *Bank) Secret(clientID string) string {
	b.t.Helper()
	var secrets map[string]string
	b.must(b.folders[deployment.Resource].JSON("secrets.json", &secrets))
	return secrets[clientID]
}

// Pins are those of the bank's keys: the one in use, and the backup.
func (b *Bank) Pins() []string {
	b.t.Helper()
	var pins []string
	for _, name := range []string{"server.pem", "auth.pem", "attestsvc.pem", "mediator.pem", "server-backup.pem"} {
		certificate, err := pki.Certificate(b.read(deployment.Offline, name))
		b.must(err)
		pins = append(pins, string(pin.Of(certificate)))
	}
	return pins
}

// Settings are what a package of an app is shipped with: all but the stages.
func (b *Bank) Settings(clientID string) release.Settings {
	b.t.Helper()
	pair := b.Pair(clientID)
	return release.Settings{
		App: clientID, ClientID: clientID, SharedSecret: b.Secret(clientID), ClientSecret: b.ClientSecret(clientID), AuthServer: b.AuthURL,
		Attestation: b.AttestationURL, Mediator: b.MediatorURL, Lite: b.LiteURL, Developer: b.Developer.Public().(ed25519.PublicKey),
		ClientCertificate: string(pair.Certificate), ClientKey: string(pair.Key), ServerPins: b.Pins(), AnswerKeys: b.answerKeys(),
		APIPlain: b.Plain, APITLS: b.TLS, TransferCap: catalog.TransferCap, Stages: map[string]catalog.Call{},
	}
}

// IdentityAt is the same, with the secret that the client proves itself with at a stage.
func (b *Bank) IdentityAt(policy catalog.Call, clientID string) protect.Identity {
	b.t.Helper()
	identity, settings := b.Identity(clientID), b.Settings(clientID)
	identity.Secret = settings.Secret(policy)
	return identity
}

// Identity is all that a client has before its first call.
func (b *Bank) Identity(clientID string) protect.Identity {
	b.t.Helper()
	pair := b.Pair(clientID)
	certificate, err := clientcert.Load(pair.Certificate, pair.Key)
	b.must(err)
	pins, err := pin.ParseSet(b.Pins())
	b.must(err)
	return protect.Identity{
		UserAgent: userAgents[clientID], ClientID: clientID, Secret: b.Secret(clientID), Certificate: &certificate, Pins: pins,
	}
}

var userAgents = map[string]string{"harbour-mobile": "HarbourBank/1.0", "harbour-ops": "HarbourOps/1.0", "harbour-kiosk": "HarbourKiosk/1.0"}

// Package is the path of the bank's app as a stage uses it. There is no program in it.
func (b *Bank) Package(stage catalog.Stage) string {
	return b.folders[deployment.Attestation].Path(deploy.PackageName(stage.Package.Release))
}

// API is where a stage's API is.
func (b *Bank) API(stage string) protect.API {
	return protect.API{
		Stage: stage, Plain: b.Plain, TLS: b.TLS, Auth: b.AuthURL, Attestation: b.AttestationURL, Mediator: b.MediatorURL, Lite: b.LiteURL,
		Answers: b.answerKeys(),
	}
}

// answerKeys are those with which the bank signs its answers.
func (b *Bank) answerKeys() []jwk.Key {
	b.t.Helper()
	keys := make([]jwk.Key, 1)
	b.must(b.folders[deployment.Offline].JSON(deploy.AnswersFile, &keys[0]))
	return keys
}

var process struct {
	once sync.Once
	dir  string
	err  error
}

// cheap is what checking a password costs: tests sign in often, and are not about that.
var cheap = argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// deploymentOfProcess is a deployment in which nothing runs. Its packages are of no use: the
// program in them is none. [Remove] removes it.
func deploymentOfProcess() (dir string, err error) {
	process.once.Do(func() {
		process.dir, process.err = os.MkdirTemp("", "keyladder-testbank-")
		if process.err != nil {
			return
		}
		none := filepath.Join(process.dir, "none")
		if process.err = os.WriteFile(none, []byte("no program"), 0o600); process.err != nil {
			return
		}
		programs := build.Programs{}
		for _, how := range deploy.Ways(catalog.All()) {
			programs[how] = none
		}
		_, process.err = deploy.Init(context.Background(), deploy.Options{
			Dir: filepath.Join(process.dir, "data"), Stages: catalog.All(), Programs: programs,
			Addresses: deployment.Local(deployment.Ports{deployment.PlainAPI: 1, deployment.API: 2}), PasswordCost: &cheap,
		})
	})
	return filepath.Join(process.dir, "data"), process.err
}

// Remove removes what the banks of this process share. Call it in TestMain, after the tests.
func Remove() error { return os.RemoveAll(process.dir) }
