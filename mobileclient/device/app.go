package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"keyladder/mobileclient/device/confine"
	"keyladder/mobileclient/device/sdk"
)

// App is a running app.
type App struct {
	device    *Device
	installed Installed
	stage     string

	cmd     *exec.Cmd
	screen  *rpc.Client
	sockets []net.Conn
	network *net.UnixConn // where connections are handed over
	sending sync.Mutex
	stderr  *tail
	log     *appLog

	closing  sync.Once
	gone     chan struct{} // closed when the screen's socket has ended
	done     chan struct{} // closed when the process has been waited for
	failure  error         // why it ended; set before done is closed
	expected bool          // that it ends; guarded by device.mu
}

// endTimeout is how long an app has to end by itself when the device hangs up.
const endTimeout = 2 * time.Second

// Launch starts an installed app: a process of its own, from the package, with an empty
// environment, and confined as far as the system allows (package confine). On Linux it starts
// the copy in memory that was measured when the app was installed or the device was switched on, which
// nobody can change. On macOS it measures the file anew and refuses one that is not what was installed
// ([ErrChanged]), but the file may be replaced a moment later.
// The context bounds the launch; the app runs until [App.Close], or until its package or
// the device go.
func (d *Device) Launch(ctx context.Context, name, stage string) (*App, error) {
	app, err := d.launch(ctx, name, stage)
	if err != nil {
		return nil, fmt.Errorf("launch %s: %w", name, err)
	}
	return app, nil
}

func (d *Device) launch(ctx context.Context, name, stage string) (*App, error) {
	d.mu.Lock()
	installed, ok := d.state.Packages[name]
	closed := d.closed
	var image *image
	var err error
	if ok && !closed {
		image, err = d.images[name].again()
	}
	d.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if !ok {
		return nil, ErrNotInstalled
	}
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrChanged, err)
	}
	defer image.close()
	if image.SHA256 != installed.SHA256 {
		return nil, ErrChanged
	}
	app, err := d.start(installed, image, stage)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	// It may have been replaced, or the device switched off, meanwhile.
	current := d.state.Packages[name].SHA256 == installed.SHA256 && !d.closed
	if current {
		d.apps = append(d.apps, app)
	}
	d.mu.Unlock()
	if !current {
		return nil, errors.Join(ErrChanged, app.Close())
	}
	if err := app.call(ctx, "App.Open", stage, &sdk.None{}); err != nil {
		return nil, errors.Join(err, app.Close())
	}
	return app, nil
}

func (d *Device) start(installed Installed, image *image, stage string) (*App, error) {
	app := &App{
		device: d, installed: installed, stage: stage,
		stderr: &tail{}, gone: make(chan struct{}), done: make(chan struct{}),
	}
	var err error
	if app.log, err = d.openLog(installed.Name); err != nil {
		return nil, err
	}
	var theirs []*os.File
	fail := func(err error) (*App, error) {
		for _, conn := range app.sockets {
			conn.Close()
		}
		for _, file := range theirs {
			file.Close()
		}
		app.log.file.Close()
		return nil, err
	}
	var ours []*net.UnixConn
	for _, name := range []string{"screen", "system", "network"} {
		conn, file, err := socketPair(name)
		if err != nil {
			return fail(err)
		}
		ours, theirs, app.sockets = append(ours, conn), append(theirs, file), append(app.sockets, conn)
	}

	app.cmd = &exec.Cmd{
		Args:       []string{installed.Name},
		Env:        []string{}, // not nil, which would be this process's own
		Dir:        "/",
		Stderr:     io.MultiWriter(app.stderr, app.log),
		ExtraFiles: theirs, // from descriptor 3 on
		WaitDelay:  time.Second,
	}
	if err := image.prepare(app.cmd, filepath.Join(d.config.Dir, "run")); err != nil {
		return fail(err)
	}
	coverage, err := coverageFile()
	if err != nil {
		return fail(err)
	}
	if coverage != nil {
		app.cmd.ExtraFiles = append(app.cmd.ExtraFiles, coverage)
		defer coverage.Close()
	}
	if err := confine.Start(app.cmd, app.done); err != nil {
		if errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM) {
			err = fmt.Errorf("%w: does %s?", err, whereProgramsRun)
		}
		return fail(err)
	}
	for _, file := range theirs {
		file.Close()
	}

	app.screen = jsonrpc.NewClient(&ending{Conn: ours[0], ended: app.gone})
	app.network = ours[2]
	server := rpc.NewServer()
	if err := server.RegisterName("System", &system{app: app}); err != nil {
		panic(err) // a method of ours has the wrong form
	}
	go server.ServeCodec(jsonrpc.NewServerCodec(ours[1]))
	go app.wait()
	return app, nil
}

// wait reaps the process. It waits for the end of the socket first: a process that is
// being debugged from this one reports stops to whoever waits for it, and they are the
// debugger's.
func (a *App) wait() {
	<-a.gone
	late := time.AfterFunc(endTimeout, func() { confine.Kill(a.cmd.Process) })
	err := a.cmd.Wait()
	late.Stop()
	confine.Kill(a.cmd.Process) // what it has left behind
	a.hangUp()
	a.log.file.Close()

	d := a.device
	d.mu.Lock()
	d.apps = slices.DeleteFunc(d.apps, func(other *App) bool { return other == a })
	a.failure = ErrStopped
	if err != nil && !a.expected {
		a.failure = fmt.Errorf("%w: %w%s", ErrStopped, err, a.stderr)
	}
	d.mu.Unlock()
	close(a.done)
}

// hangUp ends the sockets, which tells the app to end.
func (a *App) hangUp() {
	a.closing.Do(func() {
		for _, conn := range a.sockets {
			conn.Close()
		}
	})
}

// Close ends the app and waits until its process is gone. An app that does not listen
// is killed.
func (a *App) Close() error {
	a.device.mu.Lock()
	a.expected = true
	a.device.mu.Unlock()
	a.hangUp()
	<-a.done
	return nil
}

// PID is the number of the app's process.
func (a *App) PID() int { return a.cmd.Process.Pid }

// Measurement is the SHA-256 of the package that the app was started from, as the device has measured
// it, in hex.
func (a *App) Measurement() string { return a.installed.SHA256 }

// Package is what the app was launched from.
func (a *App) Package() Installed { return a.installed }

// Stage is the stage that the app was launched for.
func (a *App) Stage() string { return a.stage }

// Done is closed when the app's process is gone.
func (a *App) Done() <-chan struct{} { return a.done }

// call calls the app. The error is the app's own, the context's, or [ErrStopped].
func (a *App) call(ctx context.Context, method string, args, reply any) error {
	call := a.screen.Go(method, args, reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
	case <-ctx.Done():
		return ctx.Err()
	}
	var own rpc.ServerError
	if call.Error == nil || errors.As(call.Error, &own) {
		return call.Error
	}
	// The socket ended, and the process with it or soon.
	select {
	case <-a.done:
		return a.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *App) tap(ctx context.Context, tap sdk.Tap) (Screen, error) {
	screen := new(Screen) // the app may answer when the context has ended
	if err := a.call(ctx, "App.Tap", tap, screen); err != nil {
		return Screen{}, fmt.Errorf("%s: %w", tap.What, err)
	}
	return *screen, nil
}

// Home has the app show its start screen, which says who is signed in. This and the
// following return an error where the app could not be asked; what it was refused is on
// its screen.
func (a *App) Home(ctx context.Context) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.Home})
}

// SignIn types a user's name and password into the app. People do, where the app asks for
// them: see package person.
func (a *App) SignIn(ctx context.Context, user, password string) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.SignIn, User: user, Password: password})
}

// SignInOnce is SignIn by somebody who does not want to stay signed in: the session ends with
// the app's process.
func (a *App) SignInOnce(ctx context.Context, user, password string) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.SignIn, User: user, Password: password, MemoryOnly: true})
}

// OpenSignIn has an app open the page on which its user signs in.
func (a *App) OpenSignIn(ctx context.Context) (Screen, error) { return a.OpenSignInAt(ctx, "") }

// OpenSignInAt is OpenSignIn where the user chooses on whose page: by the name of a provider, as the
// app offers them.
func (a *App) OpenSignInAt(ctx context.Context, provider string) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.SignIn, Provider: provider})
}

// SignOut has the app sign its user out.
func (a *App) SignOut(ctx context.Context) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.SignOut})
}

// Rates has the app show the exchange rates.
func (a *App) Rates(ctx context.Context) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.Rates})
}

// MarketRates has the app show a third party's rates, which the bank's gateway adds the key to.
func (a *App) MarketRates(ctx context.Context) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.Market})
}

// Accounts has the app show all accounts.
func (a *App) Accounts(ctx context.Context) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.Accounts})
}

// Account has the app show one account.
func (a *App) Account(ctx context.Context, account string) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.Account, Account: account})
}

// Transfers has the app show an account's transfers.
func (a *App) Transfers(ctx context.Context, account string) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.Transfers, Account: account})
}

// Transfer has the app make a transfer.
func (a *App) Transfer(ctx context.Context, payment Payment) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.Transfer, Payment: &payment})
}

// Freeze has the app freeze an account, or free it.
func (a *App) Freeze(ctx context.Context, account string, frozen bool) (Screen, error) {
	return a.tap(ctx, sdk.Tap{What: sdk.Freeze, Account: account, Frozen: frozen})
}

// ending is a connection that tells when it has ended.
type ending struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

func (e *ending) Read(b []byte) (int, error) {
	n, err := e.Conn.Read(b)
	if err != nil {
		e.once.Do(func() { close(e.ended) })
	}
	return n, err
}

// tail keeps the end of what a process wrote, for the message about its death.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = slices.Clone(t.text[over:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text := strings.TrimSpace(string(t.text)); text != "" {
		return ": " + text
	}
	return ""
}
