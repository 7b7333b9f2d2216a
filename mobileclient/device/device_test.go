package device

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
)

// asPhone makes this program a phone, on which what is installed in the folder that it
// names is launched.
const asPhone = "KEYLADDER_TEST_PHONE"

// asChild makes an app a child that an app has started.
const asChild = "KEYLADDER_TEST_CHILD"

// TestMain is three programs: the tests, a phone and an app. Packed into a package,
// this program finds that it has assets, and is the app.
func TestMain(m *testing.M) {
	self, err := sdk.Package()
	if err != nil {
		panic(err)
	}
	if os.Getenv(asChild) != "" {
		select {}
	}
	if manifest, assets, err := release.Assets(self); err == nil {
		os.Exit(beApp(manifest, string(assets["behaviour"])))
	}
	if dir := os.Getenv(asPhone); dir != "" {
		os.Exit(bePhone(dir))
	}
	os.Exit(m.Run())
}

// beApp is an app that does what the tests need.
func beApp(manifest release.Manifest, behaviour string) int {
	switch behaviour {
	case "crash":
		fmt.Fprintln(os.Stderr, "the assets are missing")
		return 3
	case "deaf": // and does not end when it is told to
		os.NewFile(3, "screen").Close()
		select {}
	}
	err := sdk.Run(func(system *sdk.System) (sdk.Handler, error) {
		return &testApp{system: system, manifest: manifest}, nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// bePhone launches the app and says which process it is, until it is killed.
func bePhone(dir string) int {
	d, err := New(Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for _, installed := range d.Installed() {
		app, err := d.Launch(context.Background(), installed.Name, "app-id")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println(app.PID())
	}
	select {}
}

type testApp struct {
	system   *sdk.System
	manifest release.Manifest
}

func (a *testApp) Open(_ context.Context, stage string) error {
	if stage == "unknown" {
		return errors.New("no such stage")
	}
	return a.system.Store("stage", []byte(stage))
}

// Tap takes what to do from the account's name: the screen has no other free text.
func (a *testApp) Tap(ctx context.Context, tap sdk.Tap) (sdk.Screen, error) {
	switch tap.What {
	case sdk.Home, sdk.SignIn, sdk.SignOut: // says what it was asked
		return sdk.Screen{OK: true, User: strings.TrimSpace(tap.What + " " + tap.User + " " + tap.Password)}, nil
	}
	switch what, argument, _ := strings.Cut(tap.Account, " "); what {
	case "facts":
		args := os.Args
		return answer(map[string]any{"env": os.Environ(), "args": args, "release": a.manifest.Release})
	case "package": // as it is now
		self, err := sdk.Package()
		if err != nil {
			return sdk.Screen{}, err
		}
		manifest, _, err := release.Assets(self)
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(manifest)
	case "store":
		key, value, _ := strings.Cut(argument, " ")
		return sdk.Screen{}, a.system.Store(key, []byte(value))
	case "load":
		value, err := a.system.Load(argument)
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(string(value))
	case "delete":
		return sdk.Screen{}, a.system.Delete(argument)
	case "identifier":
		identifier, err := a.system.Identifier()
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(identifier)
	case "browse":
		return sdk.Screen{}, a.system.OpenURL(argument)
	case "dial":
		conn, err := a.system.Dial(ctx, "tcp", argument)
		if err != nil {
			return sdk.Screen{}, err
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "from %s\n", a.manifest.Name); err != nil {
			return sdk.Screen{}, err
		}
		echoed := make([]byte, 100)
		n, err := conn.Read(echoed)
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(string(echoed[:n]))
	case "settings":
		settings, err := a.system.Settings()
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(settings)
	case "read":
		file, err := os.Open(argument)
		if err != nil {
			return sdk.Screen{}, err
		}
		defer file.Close()
		_, err = file.Read(make([]byte, 1))
		return sdk.Screen{}, err
	case "list":
		_, err := os.ReadDir(argument)
		return sdk.Screen{}, err
	case "write":
		return sdk.Screen{}, os.WriteFile(argument, []byte("x"), 0o600)
	case "connect":
		conn, err := net.Dial("tcp", argument)
		if err == nil {
			conn.Close()
		}
		return sdk.Screen{}, err
	case "send": // over UDP
		conn, err := net.Dial("udp", argument)
		if err == nil {
			_, err = conn.Write([]byte("x"))
			conn.Close()
		}
		return sdk.Screen{}, err
	case "listen":
		listener, err := net.Listen("tcp", argument)
		if err == nil {
			listener.Close()
		}
		return sdk.Screen{}, err
	case "signal":
		pid, err := strconv.Atoi(argument)
		if err != nil {
			return sdk.Screen{}, err
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			return sdk.Screen{}, err
		}
		return sdk.Screen{}, process.Signal(syscall.SIGTERM)
	case "fork": // this program is the child, too, and waits
		child, err := os.StartProcess("/proc/self/exe", []string{"child"}, &os.ProcAttr{Env: []string{asChild + "=1"}})
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(child.Pid)
	case "hang":
		select {}
	case "exit":
		os.Exit(7)
	}
	return sdk.Screen{}, fmt.Errorf("no button %q", tap.Account)
}

func (a *testApp) OpenURL(_ context.Context, url string) error {
	return a.system.Store("url", []byte(url))
}

func answer(v any) (sdk.Screen, error) {
	body, err := json.Marshal(v)
	return sdk.Screen{OK: true, Body: body}, err
}

var (
	developer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	stranger  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, ed25519.SeedSize))
)

// packaged packs this program as an app.
func packaged(t *testing.T, key ed25519.PrivateKey, m release.Manifest, behaviour string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if m.Name == "" {
		m.Name = "com.example.app"
	}
	if m.Release == 0 {
		m.Release = 1
	}
	m.Label = "Test"
	path := filepath.Join(t.TempDir(), "app.pkg")
	if err := release.Pack(path, self, m, map[string][]byte{"behaviour": []byte(behaviour)}, key); err != nil {
		t.Fatal(err)
	}
	return path
}

func newDevice(t *testing.T, change ...func(*Config)) *Device {
	t.Helper()
	config := Config{
		Dir: t.TempDir(), Owner: "alice", Log: traffic.New("phone", 1000),
		Developers: []ed25519.PublicKey{developer.Public().(ed25519.PublicKey)},
	}
	for _, c := range change {
		c(&config)
	}
	d, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func install(t *testing.T, d *Device, path string) Installed {
	t.Helper()
	installed, err := d.Install(path)
	if err != nil {
		t.Fatal(err)
	}
	return installed
}

func launch(t *testing.T, d *Device, name string) *App {
	t.Helper()
	app, err := d.Launch(t.Context(), name, "app-id")
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// do has the test app do something, and decodes what it shows.
func do[T any](t *testing.T, app *App, what string) T {
	t.Helper()
	var v T
	screen, err := app.Account(t.Context(), what)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if len(screen.Body) > 0 {
		if err := json.Unmarshal(screen.Body, &v); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

func TestInstall(t *testing.T) {
	t.Parallel()
	genuine := packaged(t, developer, release.Manifest{}, "")
	resigned := packaged(t, stranger, release.Manifest{}, "")
	tampered := filepath.Join(t.TempDir(), "tampered.pkg")
	data, err := os.ReadFile(genuine)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	unsigned := filepath.Join(t.TempDir(), "unsigned.pkg")
	for path, content := range map[string][]byte{tampered: data, unsigned: data[:len(data)-1]} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name       string
		before     string // installed first
		sideloaded bool
		path       string
		want       error
	}{
		{name: "genuine", path: genuine},
		{name: "genuine again", before: genuine, path: genuine},
		{name: "changed", path: tampered, want: release.ErrSignature},
		{name: "changed, with sideloading", sideloaded: true, path: tampered, want: release.ErrSignature},
		{name: "unsigned, with sideloading", sideloaded: true, path: unsigned, want: release.ErrUnsigned},
		{name: "another signer", path: resigned, want: ErrSideloading},
		{name: "another signer, with sideloading", sideloaded: true, path: resigned},
		{name: "another signer as update", before: genuine, sideloaded: true, path: resigned, want: ErrOtherSigner},
		{name: "missing", path: genuine + "x", want: os.ErrNotExist},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			if test.before != "" {
				install(t, d, test.before)
			}
			if err := d.AllowSideloading(test.sideloaded); err != nil {
				t.Fatal(err)
			}
			installed, err := d.Install(test.path)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && installed.Genuine != (test.path == genuine) {
				t.Errorf("genuine: %v", installed.Genuine)
			}
			if left, _ := filepath.Glob(filepath.Join(d.config.Dir, "packages", ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestAppKnowsNothingButItsPackage(t *testing.T) {
	t.Setenv("KEYLADDER_SECRET_OF_THE_PARENT", "leaked")
	d := newDevice(t)
	installed := install(t, d, packaged(t, developer, release.Manifest{}, ""))
	app := launch(t, d, installed.Name)
	facts := do[struct{ Env, Args []string }](t, app, "facts")
	if len(facts.Env) > 0 || !slices.Equal(facts.Args, []string{installed.Name}) {
		t.Errorf("environment %q, arguments %q", facts.Env, facts.Args)
	}
	if app.Measurement() != installed.SHA256 || app.PID() == os.Getpid() {
		t.Errorf("measured %s, installed %s, process %d", app.Measurement(), installed.SHA256, app.PID())
	}
	if runtime.GOOS != "linux" {
		return
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", app.PID())); err != nil || strings.TrimSpace(string(name)) != installed.Name {
		t.Errorf("the process is called %q, %v", name, err)
	}
	descriptors, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", app.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, descriptor := range descriptors {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", app.PID(), descriptor.Name()))
		system := target == "/dev/null" || strings.HasPrefix(target, "/sys/fs/cgroup/") // the Go runtime looks there
		if strings.HasPrefix(target, "/") && !system {
			t.Errorf("descriptor %s is %s", descriptor.Name(), target)
		}
	}
}

func TestLaunchRefuses(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	installed := install(t, d, packaged(t, developer, release.Manifest{}, ""))
	if _, err := d.Launch(t.Context(), "com.example.other", "app-id"); !errors.Is(err, ErrNotInstalled) {
		t.Errorf("not installed: %v", err)
	}
	if _, err := d.Launch(t.Context(), installed.Name, "unknown"); err == nil || !strings.Contains(err.Error(), "no such stage") {
		t.Errorf("the app's own error: %v", err)
	}
	install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.crash"}, "crash"))
	if _, err := d.Launch(t.Context(), "com.example.crash", "app-id"); !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "the assets are missing") {
		t.Errorf("crash: %v", err)
	}
	if err := os.Chmod(installed.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(installed.Path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("!"); err != nil {
		t.Fatal(err)
	}
	file.Close()
	if _, err := d.Launch(t.Context(), installed.Name, "app-id"); !errors.Is(err, ErrChanged) {
		t.Errorf("changed behind the device's back: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Launch(t.Context(), installed.Name, "app-id"); !errors.Is(err, ErrClosed) {
		t.Errorf("switched off: %v", err)
	}
}

// TestWhatWasMeasuredRuns has somebody change the package between its measurement and its
// start, and between its start and when the app reads it.
func TestWhatWasMeasuredRuns(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the file itself is started here")
	}
	other, err := os.ReadFile(packaged(t, stranger, release.Manifest{Release: 2}, ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(path string) error
	}{
		{"replaced", func(path string) error {
			return errors.Join(os.WriteFile(path+".new", other, 0o700), os.Rename(path+".new", path))
		}},
		{"overwritten", func(path string) error {
			return errors.Join(os.Chmod(path, 0o700), os.WriteFile(path, other, 0o700))
		}},
		{"removed", os.Remove},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			installed := install(t, d, packaged(t, developer, release.Manifest{}, ""))
			image, err := newImage(installed.Name, installed.Path)
			if err != nil {
				t.Fatal(err)
			}
			defer image.close()
			running := launch(t, d, installed.Name)
			if err := test.change(installed.Path); err != nil {
				t.Fatal(err)
			}
			app, err := d.start(installed, image, "app-id")
			if err != nil {
				t.Fatal(err)
			}
			defer app.Close()
			if image.sha256 != installed.SHA256 {
				t.Errorf("measured %s, installed %s", image.sha256, installed.SHA256)
			}
			if started := do[struct{ Release int }](t, app, "facts").Release; started != 1 {
				t.Errorf("changed before the start: release %d runs", started)
			}
			if read := do[release.Manifest](t, running, "package").Release; read != 1 {
				t.Errorf("changed after the start: the app reads release %d", read)
			}
			if err := os.WriteFile(image.path, other, 0o700); err == nil {
				t.Error("what runs can be overwritten")
			}
			if _, err := d.Launch(t.Context(), installed.Name, "app-id"); err == nil {
				t.Error("the changed package was started")
			}
		})
	}
}

func TestAppsEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  func(*Device, *App) error
	}{
		{"when they are closed", func(_ *Device, a *App) error { return a.Close() }},
		{"when the device is switched off", func(d *Device, _ *App) error { return d.Close() }},
		{"when they are uninstalled", func(d *Device, a *App) error { return d.Uninstall(a.Package().Name) }},
		{"when they are killed", func(_ *Device, a *App) error { return process(a.PID()).Kill() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
			hanging := make(chan error, 1)
			go func() {
				_, err := app.Account(context.Background(), "hang")
				hanging <- err
			}()
			if err := test.end(d, app); err != nil {
				t.Fatal(err)
			}
			<-app.Done()
			if err := <-hanging; !errors.Is(err, ErrStopped) {
				t.Errorf("a call under way: got %v, want %v", err, ErrStopped)
			}
			if _, err := app.Account(t.Context(), "facts"); !errors.Is(err, ErrStopped) {
				t.Errorf("a call afterwards: got %v, want %v", err, ErrStopped)
			}
			if err := process(app.PID()).Signal(syscall.Signal(0)); !gone(err) {
				t.Errorf("the process is still there: %v", err)
			}
			if err := app.Close(); err != nil {
				t.Errorf("closing it again: %v", err)
			}
		})
	}
}

// process is the one with that number, which may have ended.
func process(pid int) *os.Process {
	p, err := os.FindProcess(pid)
	if err != nil {
		panic(err) // on Windows alone, where the phone does not run
	}
	return p
}

// gone is whether a signal found no process.
func gone(err error) bool { return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) }

func TestDeafAppIsKilled(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	name := install(t, d, packaged(t, developer, release.Manifest{}, "deaf")).Name
	if _, err := d.Launch(t.Context(), name, "app-id"); !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("got %v, want %v", err, ErrStopped)
	}
}

// TestAppDiesWithItsPhone kills the phone, which gets no chance to tell the app.
func TestAppDiesWithItsPhone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := newDevice(t, func(c *Config) { c.Dir = dir })
	install(t, d, packaged(t, developer, release.Manifest{}, ""))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	phone := exec.Command(self)
	phone.Env = []string{asPhone + "=" + dir}
	phone.Stderr = os.Stderr
	out, err := phone.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := phone.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Error(err)
	}
	if err := phone.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = phone.Wait() // it was killed
	if pid == 0 {
		return
	}
	waitFor(t, func() bool { return ended(pid) }, func() string { return fmt.Sprintf("the app, process %d, is still there", pid) })
}

// ended is whether a process is gone, or dead and nobody has asked how it died.
func ended(pid int) bool {
	if gone(process(pid).Signal(syscall.Signal(0))) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

func TestExitOfTheAppIsTold(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	if _, err := app.Account(t.Context(), "exit"); !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("got %v", err)
	}
	if _, err := d.Launch(t.Context(), app.Package().Name, "app-id"); err != nil {
		t.Errorf("launch it again: %v", err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := app.Account(ctx, "hang"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	do[any](t, app, "facts") // others are still answered
}

func TestStorage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inDir := func(c *Config) { c.Dir = dir }
	d := newDevice(t, inDir)
	v1 := packaged(t, developer, release.Manifest{Release: 1}, "")
	name := install(t, d, v1).Name
	other := install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.other"}, "")).Name

	app := launch(t, d, name)
	do[any](t, app, "store ../../escape kept")
	if got := do[string](t, app, "load ../../escape"); got != "kept" {
		t.Errorf("stored: %q", got)
	}
	if _, err := launch(t, d, other).Account(t.Context(), "load ../../escape"); err == nil {
		t.Error("another app reads it")
	}
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	if got := do[string](t, launch(t, d, name), "load ../../escape"); got != "kept" {
		t.Errorf("after a restart of the app: %q", got)
	}
	install(t, d, packaged(t, developer, release.Manifest{Release: 2}, ""))
	if got := do[string](t, launch(t, d, name), "load ../../escape"); got != "kept" {
		t.Errorf("after an update: %q", got)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	d = newDevice(t, inDir)
	app = launch(t, d, name)
	if got := do[string](t, app, "load ../../escape"); got != "kept" {
		t.Errorf("after a restart of the device: %q", got)
	}
	do[any](t, app, "delete ../../escape")
	if _, err := app.Account(t.Context(), "load ../../escape"); err == nil {
		t.Error("it is still there after it was deleted")
	}
	do[any](t, app, "store key value")
	if err := d.Uninstall(name); err != nil {
		t.Fatal(err)
	}
	install(t, d, v1)
	if _, err := launch(t, d, name).Account(t.Context(), "load key"); err == nil {
		t.Error("it survived that the app was uninstalled")
	}
	if _, err := launch(t, d, name).Account(t.Context(), "store "+strings.Repeat("k", 101)+" v"); err == nil {
		t.Error("a long key was taken")
	}
}

func TestUpdateEndsTheRunningApp(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{Release: 1}, "")).Name)
	install(t, d, packaged(t, developer, release.Manifest{Release: 2}, ""))
	<-app.Done()
	facts := do[struct{ Release int }](t, launch(t, d, app.Package().Name), "facts")
	if facts.Release != 2 {
		t.Errorf("release %d runs", facts.Release)
	}
}

func TestSettingsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inDir := func(c *Config) { c.Dir = dir }
	d := newDevice(t, inDir)
	install(t, d, packaged(t, developer, release.Manifest{}, ""))
	network := Network{Proxy: "http://127.0.0.1:9"}
	if err := errors.Join(d.SetNetwork(network), d.AllowSideloading(true), d.Close()); err != nil {
		t.Fatal(err)
	}
	d = newDevice(t, inDir)
	if d.Network() != network || !d.Sideloading() || len(d.Installed()) != 1 {
		t.Errorf("%+v, sideloading %v, %d packages", d.Network(), d.Sideloading(), len(d.Installed()))
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	// A package that was swapped while the device was off is not believed.
	swapped, err := os.ReadFile(packaged(t, stranger, release.Manifest{}, ""))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "packages", "com.example.app.pkg")
	if err := errors.Join(os.Remove(path), os.WriteFile(path, swapped, 0o700)); err != nil {
		t.Fatal(err)
	}
	if d = newDevice(t, inDir); len(d.Installed()) != 0 {
		t.Error("a swapped package counts as installed")
	}
}

func TestSetNetworkRefuses(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	for _, proxy := range []string{"127.0.0.1:8080", "https://proxy:1", "http://", "http://proxy:1/path", "socks5://proxy:1"} {
		if err := d.SetNetwork(Network{Proxy: proxy}); !errors.Is(err, ErrProxy) {
			t.Errorf("%q: got %v, want %v", proxy, err, ErrProxy)
		}
	}
	if err := d.SetNetwork(Network{AccessPoint: "nowhere"}); err == nil {
		t.Error("an access point without a port was joined")
	}
}

func TestTrust(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	for _, text := range []string{"", "no PEM", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if err := d.Trust([]byte(text)); !errors.Is(err, ErrNoCertificate) {
			t.Errorf("%q: got %v, want %v", text, err, ErrNoCertificate)
		}
	}
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	before := do[sdk.Settings](t, app, "settings")
	ca := newCA(t, "My own CA")
	if err := errors.Join(d.Trust(ca.Certificate), d.Trust(ca.Certificate)); err != nil {
		t.Fatal(err)
	}
	after := do[sdk.Settings](t, app, "settings")
	if after.Version == before.Version || !bytes.Contains(after.Roots, bytes.TrimSpace(ca.Certificate)) {
		t.Errorf("the app is told %+v, before %+v", after, before)
	}
	trusted := d.Trusted()
	if len(trusted) != 1 || trusted[0].Subject.CommonName != "My own CA" {
		t.Fatalf("trusted: %v", trusted)
	}
	if err := d.Distrust(trusted[0]); err != nil || len(d.Trusted()) != 0 {
		t.Errorf("still trusted: %v, %v", d.Trusted(), err)
	}
}

// TestManyLaunches starts and ends apps quickly and at once, and counts what is left.
func TestManyLaunches(t *testing.T) {
	d := newDevice(t)
	path := packaged(t, developer, release.Manifest{}, "")
	name := install(t, d, path).Name
	launch(t, d, name).Close()
	goroutines := runtime.NumGoroutine()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 4 {
				app, err := d.Launch(t.Context(), name, "app-id")
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := app.Account(t.Context(), "facts"); err != nil {
					t.Error(err)
				}
				app.Close()
			}
		})
		all.Go(func() { // copies of programs are written while others are started
			other := newDevice(t)
			if _, err := other.Install(path); err != nil {
				t.Error(err)
				return
			}
			app, err := other.Launch(t.Context(), name, "app-id")
			if err != nil {
				t.Error(err)
				return
			}
			app.Close()
		})
	}
	all.Wait()
	waitFor(t, func() bool { return runtime.NumGoroutine() <= goroutines }, func() string {
		stacks := make([]byte, 1<<20)
		return string(stacks[:runtime.Stack(stacks, true)])
	})
	if files, err := filepath.Glob(filepath.Join(d.config.Dir, "packages", "*")); err != nil || len(files) != 1 {
		t.Errorf("files: %v, %v", files, err)
	}
}

// waitFor waits until a condition holds, which is the end of something in the
// background, and fails with the description when it does not.
func waitFor(t *testing.T, condition func() bool, describe func() string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal(describe())
		}
	}
}
