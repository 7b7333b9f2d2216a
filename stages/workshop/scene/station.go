package scene

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/statefile"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/debugger"
	"keyladder/mobileclient/attacker/network"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/factory"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/catalog/exposure"
	"keyladder/stages/workshop/deploy"
)

// The people of the scene.
const (
	victimsName   = "alice"
	attackersName = "mallory"
	staffsName    = "carol"
)

// Station is where attacks are carried out from.
type Station struct {
	folder     *deployment.Folder
	stages     catalog.Set
	log        *traffic.Log
	roots      []byte
	developers []ed25519.PublicKey
	plant      *factory.Plant // that makes the phones of the scenes; nil: they have no secure hardware
	people     person.People
	server     *manage.Server

	// Spend is handed the loot of each attack that succeeds; nil: nobody wants it. Set it before the
	// station serves.
	Spend func(context.Context, []attack.Use) error
	// Shelf has the genuine packages that the phones of the scenes install. Another may be set, which
	// several stations share, before the station serves.
	Shelf *device.Shelf

	installations installations
}

// New makes the station of the deployment whose attacker folder it is.
func New(folder *deployment.Folder, stages catalog.Set, log *traffic.Log) (*Station, error) {
	s := &Station{folder: folder, stages: stages, log: log, Shelf: new(device.Shelf)}
	var err error
	if s.roots, err = folder.Read("roots.pem"); err != nil {
		return nil, err
	}
	developer, err := folder.Read("developer.pub")
	if err != nil {
		return nil, err
	}
	key, err := publicKey(developer)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", folder.Path("developer.pub"), err)
	}
	s.developers = []ed25519.PublicKey{key}
	if s.plant, err = factory.Open(folder); err != nil && !errors.Is(err, factory.ErrNone) {
		return nil, err
	}
	if s.people, err = person.Known(folder); err != nil {
		return nil, err
	}
	s.server = manage.NewServer(folder, log, func(context.Context) error {
		return statefile.CanWrite(os.TempDir()) // where the phones are that it uses
	})
	admin := s.server.For(deployment.Admin)
	admin.POST("/genuine", s.serveGenuine)
	admin.POST("/attack", s.serveAttack)
	admin.POST("/installations/take", s.serveInstallations)
	admin.POST("/calls", s.serveBearer)
	return s, nil
}

func publicKey(data []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM in it")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	ed, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key")
	}
	return ed, nil
}

// Serve answers on the management listener until ctx ends.
func (s *Station) Serve(ctx context.Context, listener net.Listener) error {
	return s.server.Serve(ctx, listener)
}

func (s *Station) serveGenuine(c echo.Context) error {
	var order struct {
		Stage, Reference string
		Strictly         bool
	}
	if err := c.Bind(&order); err != nil {
		return problem.New(http.StatusBadRequest, "bad-request", "That is not an order", "Send stage, reference and strictly as JSON.")
	}
	run, err := s.Genuine(c.Request().Context(), order.Stage, order.Reference, order.Strictly)
	if err != nil {
		return problem.New(http.StatusConflict, "not-set", "The genuine app could not be run", err.Error())
	}
	return c.JSON(http.StatusOK, run)
}

func (s *Station) serveAttack(c echo.Context) error {
	var brief manage.Brief
	if err := c.Bind(&brief); err != nil {
		return problem.New(http.StatusBadRequest, "bad-request", "That is not a brief", "See the management API.")
	}
	return c.JSON(http.StatusOK, s.Attack(c.Request().Context(), brief))
}

// Genuine has the victim use the genuine app on a fresh device: rates, accounts, and a
// payment with the reference. Strictly means that the API must also refuse what the stages
// up to this one have closed: see probes.
func (s *Station) Genuine(ctx context.Context, stage, reference string, strictly bool) (manage.Run, error) {
	victim, err := s.newVictim(ctx, stage)
	if err != nil {
		return manage.Run{}, err
	}
	defer victim.leave()
	run := victim.use(ctx, reference)
	if strictly && run.OK {
		probed, err := s.probe(ctx, victim.stage)
		if err != nil {
			return run, fmt.Errorf("make the calls that must be refused: %w", err)
		}
		run.Calls = append(run.Calls, probed...)
		run.OK = !slices.ContainsFunc(run.Calls, func(c manage.Call) bool { return !c.OK })
	}
	return run, nil
}

// Attack carries out the attack of the brief.
func (s *Station) Attack(ctx context.Context, brief manage.Brief) manage.Report {
	var report manage.Report
	result, err := s.attack(ctx, brief, func(format string, args ...any) {
		report.Steps = append(report.Steps, fmt.Sprintf(format, args...))
		report.StepsAt = append(report.StepsAt, time.Now())
	})
	var impossible *debugger.Impossible
	switch {
	case errors.As(err, &impossible):
		report.Impossible = impossible.Reason
	case err != nil:
		report.Error = err.Error()
	}
	report.Claim, report.Data = result.Claim, result.Data
	report.Served, report.Allowed = result.Served, result.Allowed
	report.Check, report.Obstacle, report.Stolen = result.Check, result.Obstacle, result.Stolen
	return report
}

func (s *Station) attack(ctx context.Context, brief manage.Brief, say func(string, ...any)) (attack.Result, error) {
	position := catalog.Position("")
	if wanted, ok := catalog.LookupAttack(brief.Attack); ok {
		position = wanted.Position
	} else if theft, ok := exposure.LookupTheft(brief.Attack); ok {
		position = theft.Position
	} else {
		return attack.Result{}, fmt.Errorf("there is no attack %q", brief.Attack)
	}
	stage, ok := s.stages.Lookup(brief.Stage)
	if !ok || !stage.Built {
		return attack.Result{}, fmt.Errorf("there is no stage %q that is built", brief.Stage)
	}
	dir, err := os.MkdirTemp("", "keyladder-attack-")
	if err != nil {
		return attack.Result{}, err
	}
	defer os.RemoveAll(dir)
	given := &attack.Given{
		Stage:       stage,
		Plain:       s.folder.Addresses.URL(deployment.PlainAPI),
		TLS:         s.folder.Addresses.URL(deployment.API),
		Auth:        s.folder.Addresses.URL(deployment.AuthServer),
		Mediator:    s.folder.Addresses.URL(deployment.MediatorService),
		Lite:        s.folder.Addresses.URL(deployment.LiteServer),
		Attestation: s.folder.Addresses.URL(deployment.AttestationService),
		Routes:      s.folder.Addresses.Routes(),
		Roots:       s.roots,
		Account:     catalog.MalloryAccount,
		Reference:   brief.Reference,
		Dir:         dir,
		Log:         s.log,

		NewIdentifier: s.installations.maker(stage.Slug),
		Say:           say,
		Spend:         s.Spend,
	}
	if stage.Call.UserProof != catalog.NoUser {
		given.User, given.Password = attackersName, s.people[attackersName]
		given.SignIn = func(ctx context.Context, d *device.Device, app *device.App, user, password string) (device.Screen, error) {
			return person.Person{Name: user, Password: password}.SignIn(ctx, d, app)
		}
	}
	if stage.Call.Grant.InAgent() {
		given.RedirectURI, given.Authorize = deploy.RedirectURI(), browse
	}
	if stage.Call.Grant.InAgent() || stage.Call.UserProof != catalog.NoUser && stage.Call.AppProof == catalog.AppKey {
		shipped, err := deploy.Shipped(s.packageFile(stage))
		if err != nil {
			return attack.Result{}, err
		}
		given.ClientID = shipped.ClientID
	}
	leave, err := s.position(ctx, given, position, brief)
	defer leave()
	if err != nil {
		return attack.Result{}, fmt.Errorf("set the scene: %w", err)
	}
	return attacker.Run(ctx, brief.Attack, given)
}

// browse goes through an authorization server's pages in a browser.
func browse(ctx context.Context, transport http.RoundTripper, authorizationURL, redirectURI, user, password string) (string, error) {
	link, err := person.Person{Name: user, Password: password}.Authorize(ctx, transport, authorizationURL, redirectURI)
	var refused *person.ErrRefused
	if errors.As(err, &refused) {
		return "", &attack.Refusal{Obstacle: refused.Error()}
	}
	return link, err
}

// position adds to what the attack is given what its position gives. Leave ends what was started for it,
// and is there whatever the error.
func (s *Station) position(ctx context.Context, g *attack.Given, position catalog.Position, brief manage.Brief) (leave func(), err error) {
	leave = func() {}
	switch position {
	case catalog.Anyone:
		if g.Stage.Call.Grant.InAgent() {
			g.Lured = &attack.Lured{Follows: func(ctx context.Context, link, origin string) (string, error) {
				return s.lured(ctx, g.Stage.Slug, link, origin)
			}}
		}
	case catalog.AccessLog:
		g.AccessLog = brief.AccessLog
	case catalog.PackageFile:
		g.Package = s.packageFile(g.Stage)
	case catalog.OwnDevice:
		s.ownDevices(g)
	case catalog.OnPath:
		victim, err := s.newVictim(ctx, g.Stage.Slug)
		if err != nil {
			return leave, err
		}
		leave = victim.leave
		if err := victim.signIn(ctx); err != nil {
			return leave, err
		}
		g.Victim = &attack.Victim{
			Join: victim.join,
			Pay: func(ctx context.Context) (device.Screen, error) {
				return victim.pay(ctx, brief.VictimReference)
			},
		}
	case catalog.LogAfterTLS, catalog.Terminator:
		inside, leaveInside, err := s.newInside(ctx, g.Stage.Slug, brief.VictimReference)
		if err != nil {
			return leave, err
		}
		if position == catalog.LogAfterTLS {
			inside.Rewrite, inside.Hold = nil, nil // who reads a log changes nothing
		}
		g.Inside, leave = inside, leaveInside
	case catalog.StorageCopy:
		victim, err := s.newVictim(ctx, g.Stage.Slug)
		if err != nil {
			return leave, err
		}
		leave = victim.leave
		if err := victim.signIn(ctx); err != nil {
			return leave, err
		}
		if g.Storage, err = victim.device.Backup(victim.name); err != nil {
			return leave, err
		}
		g.Later = victim.startAnew
		s.ownDevices(g) // where static secrets are hooked
	case catalog.UserAgentSpy:
		victim, err := s.newVictim(ctx, g.Stage.Slug)
		if err != nil {
			return leave, err
		}
		leave = victim.leave
		g.Spied = &attack.Spied{SignsIn: victim.spied}
	case catalog.SchemeThief, catalog.SpyAndThief:
		victim, err := s.newVictim(ctx, g.Stage.Slug)
		if err != nil {
			return leave, err
		}
		leave = victim.leave
		if g.Thief = victim.besides(); position == catalog.SpyAndThief {
			g.Spied = &attack.Spied{SignsIn: func(ctx context.Context) ([]string, error) {
				return victim.watched(ctx, g.Thief.SignsIn)
			}}
		}
		if late := time.Duration(brief.LateBySeconds) * time.Second; late > 0 {
			g.Thief.Later = func(ctx context.Context) error {
				return errors.Join(pause(ctx, late), g.Thief.SignsIn(ctx))
			}
		}
		s.ownDevices(g) // where static secrets are hooked, or the genuine app is used
	case catalog.LookAlike:
		g.LookAlike = &attack.LookAlike{Used: func(ctx context.Context, packagePath string) error {
			return s.useLookAlike(ctx, g.Stage, packagePath)
		}}
		s.ownDevices(g) // where the password is used
	default:
		return leave, fmt.Errorf("the position %q is not built", position)
	}
	return leave, nil
}

// ownDevices gives the attacker phones, and the app as the store hands it out.
func (s *Station) ownDevices(g *attack.Given) {
	g.Package = s.packageFile(g.Stage)
	made := 0
	g.NewDevice = func(context.Context) (*device.Device, error) {
		made++
		return s.newDevice(filepath.Join(g.Dir, fmt.Sprintf("device-%d", made)), attackersName, g.Stage.Slug)
	}
}

func (s *Station) packageFile(stage catalog.Stage) string {
	return s.folder.Path(deploy.PackageName(stage.Package.Release))
}

// newDevice makes a phone that is used at one stage.
func (s *Station) newDevice(dir, owner, stage string) (*device.Device, error) {
	participant, agent := "", ""
	if owner == attackersName {
		participant, agent = network.AppParty, network.AgentParty
	}
	if err := s.plant.Make(device.HardwareFolder(dir)); err != nil {
		return nil, err
	}
	return device.New(device.Config{
		Dir: dir, Owner: owner, Participant: participant, Agent: agent, Roots: s.roots, Developers: s.developers,
		Routes: s.folder.Addresses.Routes(), Servers: s.folder.Addresses.Roles(), Log: s.log, NewIdentifier: s.installations.maker(stage),
	})
}
