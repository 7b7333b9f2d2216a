package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"golang.org/x/sync/errgroup"

	"keyladder/admin/web"
	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/phone"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/referee"
	"keyladder/stages/workshop/scene"
)

// Records is how many traffic records each program keeps.
const Records = 4096

// Options say what kind of lab to start.
type Options struct {
	Dir    string      // the deployment; empty: a folder that is removed at the end
	Stages catalog.Set // nil: the catalog

	// Ports are the listening addresses; the zero value means free ones on 127.0.0.1.
	Ports Ports

	// Screens also starts the programs that people look at: phone and admin UI.
	Screens       bool
	Stage         string // that the phone uses; empty: the first
	AdminPassword string // of the admin UI; empty: one is made

	Sessions session.Lifetimes // of users' sessions; zero: [sessions.Default]

	Logger *slog.Logger // the resource server's; nil: it is discarded
}

// Ports are listening addresses, host:port.
type Ports struct {
	Plain, TLS, Terminated                      string
	ManageResource, ManagePhone, ManageAttacker string
	Phone, Admin                                string
}

// Usual are the ports of `stages up`.
var Usual = Ports{
	Plain: "127.0.0.1:8080", TLS: "127.0.0.1:8443", Terminated: "127.0.0.1:8446",
	ManageResource: "127.0.0.1:9443", ManagePhone: "127.0.0.1:9444", ManageAttacker: "127.0.0.1:9445",
	Phone: "127.0.0.1:8090", Admin: "127.0.0.1:8000",
}

// Lab is a running deployment.
type Lab struct {
	Dir       string
	Made      bool // the deployment was made just now
	Addresses deployment.Addresses
	Roots     []byte // PEM, what devices trust

	Resource, Phone, Station *manage.Client
	Referee                  *referee.Referee

	PhoneURL, AdminURL string // with [Options.Screens]
	InitialPassword    string // of the admin UI, when it was made just now

	throwAway bool
	mould     *mould // that the deployment was cast in; nil: it was made
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
		o.Logger = slog.New(slog.DiscardHandler)
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
			listeners.close()
		}
	}()
	folders := map[deployment.Role]*deployment.Folder{}
	for _, role := range []deployment.Role{deployment.Resource, deployment.Phone, deployment.Attacker, deployment.Admin} {
		if role == deployment.Phone && !o.Screens {
			continue
		}
		if folders[role], err = deployment.Open(l.Dir, role); err != nil {
			return err
		}
		// Management ports may differ from those that the deployment was made for.
		folders[role].Addresses = l.Addresses
	}
	if l.Roots, err = folders[deployment.Attacker].Read("roots.pem"); err != nil {
		return err
	}
	for role, client := range map[deployment.Role]**manage.Client{
		deployment.Resource: &l.Resource, deployment.Phone: &l.Phone, deployment.Attacker: &l.Station,
	} {
		if *client, err = manage.NewClient(folders[deployment.Admin], role); err != nil {
			return err
		}
	}
	l.Referee = referee.New(o.Stages, l.Resource, l.Station)

	api, err := resource.New(resource.Config{
		Folder: folders[deployment.Resource], Stages: o.Stages, Logger: o.Logger,
		Log: traffic.New(string(deployment.Resource), Records), Sessions: o.Sessions,
	})
	if err != nil {
		return err
	}
	l.closers = append(l.closers, api.Close)
	station, err := scene.New(folders[deployment.Attacker], o.Stages, traffic.New(string(deployment.Attacker), Records))
	if err != nil {
		return err
	}
	var screen *phone.Phone
	var admin *web.Server
	if o.Screens {
		stage := o.Stage
		if stage == "" {
			stage = o.Stages[0].Slug
		}
		l.PhoneURL, l.AdminURL = "http://localhost"+port(listeners.phone), "http://localhost"+port(listeners.admin)
		if screen, err = phone.New(phone.Config{
			Folder: folders[deployment.Phone], Stages: o.Stages, Log: traffic.New(string(deployment.Phone), Records), Stage: stage,
			AdminURL: l.AdminURL,
		}); err != nil {
			return err
		}
		if admin, err = web.New(web.Config{
			Folder: folders[deployment.Admin], Stages: o.Stages, Resource: l.Resource, Phone: l.Phone, Station: l.Station,
			Referee: l.Referee, Password: o.AdminPassword, PhoneURL: l.PhoneURL,
		}); err != nil {
			return err
		}
		l.InitialPassword = admin.InitialPassword()
	}

	started = true
	l.programs.Go(func() error {
		return api.Serve(ctx, resource.Listeners{
			Plain: listeners.plain, TLS: listeners.tls, Terminated: listeners.terminated, Manage: listeners.manageResource,
		})
	})
	l.programs.Go(func() error { return station.Serve(ctx, listeners.manageAttacker) })
	if o.Screens {
		l.programs.Go(func() error {
			return screen.Serve(ctx, phone.Listeners{Screen: listeners.phone, Manage: listeners.managePhone})
		})
		l.programs.Go(func() error { return admin.Serve(ctx, listeners.admin) })
	}
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
	if l.mould != nil {
		shared.putBack(l.mould)
	}
	return errors.Join(errs...)
}

// deploy makes the lab's deployment, or finds it, and listens where its apps will call.
func (l *Lab) deploy(ctx context.Context, o Options) (*listeners, error) {
	if l.throwAway && !o.Screens && o.Ports == (Ports{}) {
		return l.cast(ctx, o.Stages)
	}
	listeners, err := listen(o)
	if err != nil {
		return nil, err
	}
	l.Addresses = listeners.addresses(o.Ports == Usual)
	var programs build.Programs
	if l.throwAway {
		programs, err = shared.appPrograms(ctx)
	}
	if err == nil {
		l.Made, err = deploy.Init(ctx, deploy.Options{Dir: l.Dir, Addresses: l.Addresses, Stages: o.Stages, Programs: programs})
	}
	if err != nil {
		listeners.close()
		return nil, err
	}
	return listeners, nil
}

type listeners struct {
	plain, tls, terminated                      net.Listener
	manageResource, managePhone, manageAttacker net.Listener
	phone, admin                                net.Listener
	all                                         []net.Listener
}

func listen(o Options) (*listeners, error) {
	l := &listeners{}
	type want struct {
		into    *net.Listener
		address string
		what    string
	}
	wanted := []want{
		{&l.plain, o.Ports.Plain, "the API over HTTP"},
		{&l.tls, o.Ports.TLS, "the API over TLS"},
		{&l.terminated, o.Ports.Terminated, "the API behind a TLS terminator"},
		{&l.manageResource, o.Ports.ManageResource, "the resource server's management"},
		{&l.manageAttacker, o.Ports.ManageAttacker, "the attacker's management"},
	}
	if o.Screens {
		wanted = append(wanted,
			want{&l.managePhone, o.Ports.ManagePhone, "the phone's management"},
			want{&l.phone, o.Ports.Phone, "the phone's screen"},
			want{&l.admin, o.Ports.Admin, "the admin UI"})
	}
	for _, w := range wanted {
		address := w.address
		if address == "" {
			address = "127.0.0.1:0"
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			l.close()
			return nil, fmt.Errorf("%s can't listen on %s; is Keyladder running already, or another program there? %w", w.what, address, err)
		}
		*w.into = listener
		l.all = append(l.all, listener)
	}
	return l, nil
}

func (l *listeners) close() {
	for _, listener := range l.all {
		listener.Close()
	}
}

// addresses are the listeners' addresses as clients use them: by name where people type
// them.
func (l *listeners) addresses(byName bool) deployment.Addresses {
	host := "127.0.0.1"
	if byName {
		host = "localhost"
	}
	addresses := deployment.Addresses{
		Plain:      "http://" + host + port(l.plain),
		TLS:        "https://" + host + port(l.tls),
		Terminated: "https://" + host + port(l.terminated),
		Manage: map[deployment.Role]string{
			deployment.Resource: "https://" + host + port(l.manageResource),
			deployment.Attacker: "https://" + host + port(l.manageAttacker),
		},
	}
	if l.managePhone != nil {
		addresses.Manage[deployment.Phone] = "https://" + host + port(l.managePhone)
	}
	return addresses
}

// ports are where those of a lab without screens listen.
func (l *listeners) ports() Ports {
	return Ports{
		Plain: l.plain.Addr().String(), TLS: l.tls.Addr().String(), Terminated: l.terminated.Addr().String(),
		ManageResource: l.manageResource.Addr().String(), ManageAttacker: l.manageAttacker.Addr().String(),
	}
}

func port(l net.Listener) string { return fmt.Sprintf(":%d", l.Addr().(*net.TCPAddr).Port) }
