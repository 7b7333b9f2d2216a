package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

func TestMain(m *testing.M) {
	testscript.Main(cleaned{m}, map[string]func(){"stages": main})
}

// cleaned removes what the tests' labs share when the last one has ended.
type cleaned struct{ *testing.M }

func (m cleaned) Run() int {
	code := m.M.Run()
	if err := lab.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// The command lines, as people type them; see testdata.
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the app and runs labs")
	}
	t.Parallel()
	repository, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("REPOSITORY", repository)
			for _, name := range []string{"GOPATH", "GOCACHE", "GOMODCACHE", "HOME", "GOFLAGS"} {
				env.Setenv(name, goEnv(name))
			}
			for _, way := range deploy.Ways(catalog.All()) { // empty: it builds the app's program
				env.Setenv(build.Env(way), os.Getenv(build.Env(way)))
			}
			return nil
		},
	})
}

// goEnv is a setting of the Go command, which the scripts' own environment lacks.
func goEnv(name string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(value))
}

// A running deployment is not pulled out from under its programs.
func TestResetOfARunningDeployment(t *testing.T) {
	t.Parallel()
	l := runLab(t)
	reset := func() error {
		c := resetCommand()
		c.SetArgs([]string{"--yes", "--data", l.Dir})
		c.SetOut(io.Discard)
		c.SilenceErrors, c.SilenceUsage = true, true
		return c.ExecuteContext(t.Context())
	}
	if err := reset(); err == nil || !strings.Contains(err.Error(), "is running: stop it first") {
		t.Errorf("while it runs: %v", err)
	}
	if _, err := deployment.Open(l.Dir, deployment.Resource); err != nil {
		t.Errorf("something was removed: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := reset(); err != nil {
		t.Errorf("when it has ended: %v", err)
	}
}

func TestSnippetsAreUpToDate(t *testing.T) {
	t.Parallel()
	snippets, err := cutSnippets("..")
	if err != nil {
		t.Fatal(err)
	}
	committed := catalog.Snippets()
	if len(committed) != len(snippets) {
		t.Errorf("%d snippets are committed, the source has %d: run `go run ./stages snippets`", len(committed), len(snippets))
	}
	for name, snippet := range snippets {
		if committed[name] != snippet {
			t.Errorf("the snippet %s is not up to date: run `go run ./stages snippets`", name)
		}
	}
}

// What is said of settings and ports on the command line, and in the environment, reaches the
// lab.
func TestUpFlags(t *testing.T) {
	t.Setenv("KEYLADDER_PORT_API", "18443")
	refused := errors.New("not started")
	up := upCommand(func(_ context.Context, o lab.Options) (*lab.Lab, error) {
		if want := map[string]string{"session_idle": "30s", "session_lifetime": "1h"}; !maps.Equal(o.Settings, want) {
			t.Errorf("settings %v", o.Settings)
		}
		if o.Ports[deployment.AdminUI] != 18000 || o.Ports[deployment.API] != 18443 || o.Ports[deployment.PlainAPI] != 8080 {
			t.Errorf("ports %v", o.Ports)
		}
		return nil, refused
	}, "")
	up.SetArgs([]string{"--data", t.TempDir(), "--set", "session_idle=30s", "--set", "session_lifetime=1h", "--port", "admin=18000"})
	up.SetOut(io.Discard)
	up.SilenceErrors, up.SilenceUsage = true, true
	if err := up.ExecuteContext(t.Context()); !errors.Is(err, refused) {
		t.Error(err)
	}
}

// The command fails when a check is switched off, and tells what is missed: by an attack,
// or beside the genuine app.
func TestMatrixFailsWhenACheckIsOff(t *testing.T) {
	if testing.Short() {
		t.Skip("runs labs")
	}
	t.Parallel()
	for _, tt := range []struct {
		stage, attack string
		stages        catalog.Set
		told, table   string
	}{
		{
			"app-id", "unknown-client", catalog.All().With("app-id", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }),
			`not as expected: unknown-client at app-id: expected "blocked", got "succeeds"`, "unknown-client  S",
		},
		{
			"tls", "unknown-client", catalog.All().WithoutCheck("tls", "transport"),
			"not as expected: genuine app at tls: rates over plain HTTP: the API answers 200, not 403", "unknown-client  b",
		},
	} {
		t.Run(tt.stage, func(t *testing.T) {
			t.Parallel()
			c := matrixCommand()
			c.SetContext(t.Context())
			var out, told bytes.Buffer
			c.SetOut(&out)
			c.SetErr(&told)
			if err := runMatrix(c, tt.stages, []string{tt.stage}, []string{tt.attack}, 1, false, ""); err == nil {
				t.Error("no error")
			}
			if !strings.Contains(told.String(), tt.told) {
				t.Errorf("it says %s", told.String())
			}
			if !strings.Contains(out.String(), tt.table) || !strings.Contains(out.String(), "genuine app     FAILS") {
				t.Errorf("the table is %s", out.String())
			}
		})
	}
}

// The exit code of an attack says whether it came out as expected: where a check is switched off
// that has to block it, it does not.
func TestAttackFailsWhenACheckIsOff(t *testing.T) {
	if testing.Short() {
		t.Skip("runs labs")
	}
	t.Parallel()
	for _, tt := range []struct {
		name       string
		stages     catalog.Set
		args       []string
		told, fail string
	}{
		{"as expected", catalog.All(), []string{"app-id", "unknown-client"}, "This is as expected.", ""},
		{"not as expected", catalog.All().With("app-id", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }), []string{"app-id", "unknown-client"}, "Outcome: succeeds", `expected "blocked", got "succeeds"`},
		{"as JSON", catalog.All().With("app-id", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }), []string{"app-id", "unknown-client", "--json"}, `"as_expected": false`, `expected "blocked", got "succeeds"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := attackCommand(tt.stages)
			var out bytes.Buffer
			c.SetOut(&out)
			c.SetErr(&out)
			c.SetArgs(tt.args)
			c.SilenceErrors, c.SilenceUsage = true, true
			err := c.ExecuteContext(t.Context())
			if (err != nil) != (tt.fail != "") || err != nil && !strings.Contains(err.Error(), tt.fail) {
				t.Errorf("error %v", err)
			}
			if !strings.Contains(out.String(), tt.told) {
				t.Errorf("it says %s", out.String())
			}
		})
	}
}

// A port that is taken is told before anything is built or made: the one command that moves it
// comes with it.
func TestUpLooksAtPortsFirst(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := filepath.Join(t.TempDir(), "data")
	up := upCommand(lab.Start, "")
	args := []string{"--data", dir}
	var free []net.Listener
	for _, service := range deployment.Services() {
		listener := taken
		if service.Name != deployment.AdminUI {
			listener = testenv.FreePort(t)
			free = append(free, listener)
		}
		args = append(args, "--port", fmt.Sprintf("%s=%d", service.Name, listener.Addr().(*net.TCPAddr).Port))
	}
	for _, listener := range free {
		listener.Close() // for the program
	}
	up.SetArgs(args)
	up.SetOut(io.Discard)
	up.SilenceErrors, up.SilenceUsage = true, true
	err = up.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the admin UI can't listen on") || !strings.Contains(err.Error(), "KEYLADDER_PORT_ADMIN=PORT") {
		t.Errorf("a taken port: %v", err)
	}
	if made, err := os.ReadDir(dir); err == nil && len(made) > 0 {
		t.Errorf("it has made %v", made)
	}
}

// retried is a matrix with so many cells of which the first try showed nothing.
func retried(count int) manage.Matrix {
	cell := manage.Cell{Stage: "app-id", Attack: "wiretap", Expected: "succeeds", Outcome: "succeeds", Steps: []string{"a first try"}}
	once, twice := cell, cell
	once.Tries, twice.Tries = 1, 2
	return manage.Matrix{Cells: append(slices.Repeat([]manage.Cell{twice}, count), once)}
}

func TestDeviations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		matrix manage.Matrix
		bad    bool
	}{
		{"as expected", manage.Matrix{Cells: []manage.Cell{{Stage: "app-id", Attack: "wiretap", Expected: "succeeds", Outcome: "succeeds"}}}, false},
		{"other outcome", manage.Matrix{Cells: []manage.Cell{{Stage: "app-id", Attack: "wiretap", Expected: "succeeds", Outcome: "blocked", Check: "tls"}}}, true},
		{"other check", manage.Matrix{Cells: []manage.Cell{{Stage: "tls", Attack: "wiretap", Expected: "blocked", Outcome: "blocked", Check: "app-key"}}}, true},
		{"inconclusive", manage.Matrix{Cells: []manage.Cell{{Stage: "tls", Attack: "wiretap", Expected: "blocked", Outcome: "inconclusive"}}}, true},
		{"as many were tried again as may be", retried(referee.MaxRetried), false},
		{"more were tried again", retried(referee.MaxRetried + 1), true},
		{"broken app", manage.Matrix{Genuine: []manage.Genuine{{Stage: "tls"}}}, true},
		{"not built", manage.Matrix{Cells: []manage.Cell{{Stage: "hmac", Attack: "wiretap", Expected: "blocked", Outcome: "not built"}}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := deviations(&bytes.Buffer{}, catalog.All(), tt.matrix); (err != nil) != tt.bad {
				t.Errorf("error %v, want one: %v", err, tt.bad)
			}
		})
	}
}

func TestShowNeedsTheCatalogAlone(t *testing.T) {
	t.Parallel()
	stage, _ := catalog.All().Lookup("hmac")
	stage.Slug, stage.Title, stage.Text = "made-up", "A stage of a test", "Read this."
	stage.Number = len(catalog.All()) + 1
	stage.Call.Transport = catalog.TLS
	stage.Outcomes = map[string]catalog.Expectation{"replay": {Outcome: catalog.Succeeds}}
	c := showCommand(append(catalog.All(), stage))
	var out strings.Builder
	c.SetOut(&out)
	c.SetArgs([]string{stage.Slug})
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{stage.Title, "a Hawk MAC over each call", "replay", "Read this."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
