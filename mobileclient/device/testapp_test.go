package device

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
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
	case "key":
		key, err := a.system.Key()
		if err != nil {
			return sdk.Screen{}, err
		}
		public, err := jwk.OfSigner(key)
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(public)
	case "sign":
		key, err := a.system.Key()
		if err != nil {
			return sdk.Screen{}, err
		}
		signature, err := jwk.SignBytes(key, []byte(argument))
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(signature)
	case "sign-digest": // as many bytes as it is told to, as a hash of another kind
		key, err := a.system.Key()
		if err != nil {
			return sdk.Screen{}, err
		}
		count, err := strconv.Atoi(argument)
		if err != nil {
			return sdk.Screen{}, err
		}
		_, err = key.Sign(rand.Reader, make([]byte, count), crypto.SHA384)
		return sdk.Screen{}, err
	case "evidence":
		text, err := a.system.Evidence([]byte(argument), evidence.Bound(attestation.Findings{}))
		if err != nil {
			return sdk.Screen{}, err
		}
		return answer(text)
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
