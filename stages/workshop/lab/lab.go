package lab

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/program"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/referee"
)

// Options say what kind of lab to start.
type Options struct {
	Dir    string      // the deployment; empty: a folder that is removed at the end
	Stages catalog.Set // nil: the catalog
	// Mediator is what the mediator alone goes by, for tests in which it does not do what the others
	// expect of it; nil: Stages.
	Mediator catalog.Set

	Ports deployment.Ports // nil: free ones

	// Screens also starts the programs that people look at: phone and admin UI.
	Screens bool
	// Phones says that the caller runs phones, which need packages in their folder.
	Phones        bool
	Stage         string // that the phone uses; empty: the first
	AdminPassword string // of the admin UI; empty: one is made

	Settings map[string]string // by name, in place of those of the deployment; see [deployment.Settings]

	Now func() time.Time // the clock of the servers; nil: the machine's
	// Spend is handed the loot of each attack that succeeds; nil: nobody wants it.
	Spend func(context.Context, []attack.Use) error

	Logger *slog.Logger // the resource server's; nil: the default one, with warnings and errors alone
}

// runs is whether a program is part of the lab.
func (o *Options) runs(p deployment.Program) bool {
	return o.Screens || p.Role != deployment.Phone && p.Role != deployment.Admin
}

// Lab is a running deployment.
type Lab struct {
	Dir       string
	Done      deploy.Done // what was done with the deployment
	Ports     deployment.Ports
	Addresses deployment.Addresses
	Roots     []byte // PEM, what devices trust

	Auth, Attestation, Resource, Phone, Station *manage.Client
	clients                                     map[deployment.Role]*manage.Client // these, by their roles
	Referee                                     *referee.Referee

	InitialPassword string   // of the admin UI, when it was made just now
	PhoneLink       string   // pairs a browser with the phone's screen, once
	AdminPages      []string // patterns of what the admin UI answers to GET
	PhonePages      []string // the same of the phone's screen

	throwAway bool
	prepared  *prepared // that the deployment is a copy of; nil: it was made
	cancel    context.CancelFunc
	programs  *errgroup.Group
	closers   []func() error
}

// Start starts a lab. It runs until ctx ends or [Lab.Close].
func Start(ctx context.Context, o Options) (lab *Lab, err error) {
	if o.Stages == nil {
		o.Stages = catalog.All()
	}
	if o.Logger == nil {
		o.Logger = program.Warnings(slog.Default().Handler())
	}
	lab = &Lab{Dir: o.Dir}
	if o.Dir == "" {
		lab.throwAway = true
		if lab.Dir, err = os.MkdirTemp("", "keyladder-lab-"); err != nil {
			return nil, err
		}
	}
	programsCtx, cancel := context.WithCancel(ctx)
	lab.cancel = cancel
	lab.programs, programsCtx = errgroup.WithContext(programsCtx)
	if err := lab.start(programsCtx, o); err != nil {
		err = errors.Join(err, lab.Close())
		if ctx.Err() != nil { // whatever it was that failed for that
			err = ctx.Err()
		}
		return nil, err
	}
	return lab, nil
}

func (l *Lab) start(ctx context.Context, o Options) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	listeners, err := l.deploy(ctx, o)
	if err != nil {
		return err
	}
	started := false
	defer func() {
		if !started {
			listeners.Close()
		}
	}()
	if err := l.connect(o); err != nil {
		return err
	}
	var serving []func(context.Context) error
	for _, row := range deployment.Programs() {
		if !o.runs(row) {
			continue
		}
		folder, err := deployment.Open(l.Dir, row.Role)
		if err != nil {
			return err
		}
		serve, err := starters[row.Role](l, o, folder, listeners)
		if err != nil {
			return err
		}
		serving = append(serving, serve)
	}
	started = true
	for _, serve := range serving {
		l.programs.Go(func() error { return serve(ctx) })
	}
	waiting, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_ = manage.AwaitServers(waiting, l.clients) // what does not become well soon is for health to say
	return nil
}

// connect makes the clients of the programs' management and the referee.
func (l *Lab) connect(o Options) error {
	admin, err := deployment.Open(l.Dir, deployment.Admin)
	if err != nil {
		return err
	}
	if l.Roots, err = admin.Read("roots.pem"); err != nil {
		return err
	}
	clients, err := manage.NewClients(admin)
	if err != nil {
		return err
	}
	l.clients = clients
	l.Auth, l.Attestation, l.Resource = clients[deployment.Auth], clients[deployment.Attestation], clients[deployment.Resource]
	l.Phone, l.Station = clients[deployment.Phone], clients[deployment.Attacker]
	l.Referee = referee.New(o.Stages, clients)
	return nil
}

// Wait waits until the lab stops, and tells why when it was not asked to.
func (l *Lab) Wait() error { return l.programs.Wait() }

// Close stops all programs and, if the lab's folder was a throw-away one, removes it.
func (l *Lab) Close() error {
	l.cancel()
	errs := []error{l.programs.Wait()}
	for _, closer := range l.closers {
		errs = append(errs, closer())
	}
	if l.throwAway {
		errs = append(errs, os.RemoveAll(l.Dir))
	}
	if l.prepared != nil {
		shared.putBack(l.prepared)
	}
	return errors.Join(errs...)
}

// deploy makes the lab's deployment, or finds it, and listens where its apps will call.
func (l *Lab) deploy(ctx context.Context, o Options) (program.Listeners, error) {
	if l.throwAway && !o.Screens && !o.Phones && o.Ports == nil {
		return l.copyPrepared(ctx, o.Stages)
	}
	listeners, err := listen(o)
	if err != nil {
		return nil, err
	}
	l.Ports = listeners.Ports()
	l.Addresses = deployment.Local(l.Ports)
	making := deploy.Options{Dir: l.Dir, Addresses: l.Addresses, Stages: o.Stages}
	if l.throwAway {
		making.PasswordCost = &cheap
		making.Programs, err = shared.appPrograms(ctx)
	}
	if err == nil {
		l.Done, err = deploy.Init(ctx, making)
	}
	if err != nil {
		listeners.Close()
		return nil, err
	}
	return listeners, nil
}

// listen opens the listeners of the lab's programs.
func listen(o Options) (program.Listeners, error) {
	addresses := deployment.Local(o.Ports)
	if o.Ports == nil {
		free := deployment.Ports{}
		for _, service := range deployment.Services() {
			free[service.Name] = 0
		}
		addresses = deployment.Local(free)
	}
	all := program.Listeners{}
	for _, row := range deployment.Programs() {
		if !o.runs(row) {
			continue
		}
		listeners, err := program.Listen(row.Role, addresses)
		if err != nil {
			all.Close()
			return nil, err
		}
		for name, listener := range listeners {
			all[name] = listener
		}
	}
	return all, nil
}
