package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
	"keyladder/stages/workshop/lab/typed"
)

// command is a line of a narrative that a reader types, and what must come of it.
type command struct {
	typed.Command
	status string // of the HTTP response; empty: none is promised
	exit   int
	output []string // lines that it prints, among others
}

var (
	promised   = regexp.MustCompile(`^# (\d{3})$`)
	exits      = regexp.MustCompile(`^# exit (\d+)$`)
	statusLine = regexp.MustCompile(`(?m)^(?:HTTP/[0-9.]+ )?(\d{3})\b`)
)

// The two ways of running Keyladder. A console block that is marked with one of them, as in
// "```console docker", is for that way only.
const (
	local  = "local"
	docker = "docker"
)

// commands are those of a narrative's section on curl.
func commands(narrative, way string) []command {
	_, section, _ := strings.Cut(narrative, "\n## Try it with curl\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var found []command
	console := false
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if info, ok := strings.CutPrefix(line, "```"); ok {
			console = info == "console" || info == "console "+way
			continue
		}
		if !console {
			continue
		}
		if text, ok := strings.CutPrefix(line, "$ "); ok {
			found = append(found, command{Command: typed.Command{Line: text}})
			continue
		}
		latest := &found[len(found)-1]
		if m := promised.FindStringSubmatch(line); m != nil {
			latest.status = m[1]
		} else if m := exits.FindStringSubmatch(line); m != nil {
			latest.exit, _ = strconv.Atoi(m[1])
		} else {
			latest.output = append(latest.output, line)
		}
	}
	return found
}

// toolPath is a PATH on which `go run ./stages` and `go run ./mobileclient` run what was built
// once, from any folder.
func toolPath(t *testing.T) string {
	t.Helper()
	dir, err := commandLines()
	if err != nil {
		t.Fatal(err)
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

// commandLines are built once for all tests, in the folder that TestMain removes.
var commandLines = sync.OnceValues(func() (dir string, err error) {
	if output, err := exec.Command("go", "build", "-buildvcs=false", "-o", scratch, "keyladder/stages", "keyladder/mobileclient").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command lines: %w\n%s", err, output)
	}
	dir = filepath.Join(scratch, "path")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	script := "#!/bin/sh\nshift\nprogram=$1\nshift\nexec '" + scratch + "'/\"$program\" \"$@\"\n"
	return dir, os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o700)
})

// inDocker says that `docker compose` has started what the commands are for, on the ports
// that are printed or on those that the environment moves them to. Where it is not set, they
// are for a lab, and only the ports are others.
const inDocker = "KEYLADDER_DOCKER"

// What the narratives tell the reader to type works as printed, against a running
// deployment. .ci/compose runs it against the containers, too.
func TestNarrativeCommands(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "unzip", "python3", "openssl"} {
		testenv.Program(t, tool)
	}
	way, data := docker, ""
	moved, err := deployment.ChoosePorts(nil, os.Getenv)
	if err != nil {
		t.Fatal(err)
	}
	env := os.Environ()
	if os.Getenv(inDocker) != "" {
		file, err := filepath.Abs("../../../docker-compose.yml")
		if err != nil {
			t.Fatal(err)
		}
		env = append(env, "COMPOSE_FILE="+file)
	} else {
		l := start(t, lab.Options{Screens: true, Settings: testbank.ManyCalls()})
		way, data = local, l.Dir
		env = append(env, "PATH="+toolPath(t))
		moved = l.Ports
	}
	var printed []string // and what is typed in its place
	for _, service := range deployment.Services() {
		printed = append(printed, fmt.Sprint("localhost:", service.Port), fmt.Sprint("localhost:", moved[service.Name]))
	}
	ports := strings.NewReplacer(printed...)
	for _, stage := range catalog.All().Built() {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			promises := commands(stage.Narrative(), way)
			if len(promises) < 3 {
				t.Fatalf("only %d commands", len(promises))
			}
			var lines []typed.Command
			for _, c := range promises {
				lines = append(lines, c.Command)
			}
			dir := t.TempDir()
			if data != "" {
				if err := os.Symlink(data, filepath.Join(dir, "data")); err != nil {
					t.Fatal(err)
				}
			}
			for i, r := range typed.All(t, dir, env, lines, ports) {
				c := promises[i]
				if r.Exit != c.exit {
					t.Errorf("$ %s\nexit code %d, want %d\n%s", c.Line, r.Exit, c.exit, r.Output)
				}
				for _, line := range c.output {
					if !strings.Contains("\n"+string(r.Output), "\n"+line+"\n") {
						t.Errorf("$ %s\ndoes not print %q, but\n%s", c.Line, line, r.Output)
					}
				}
				if c.status == "" {
					continue
				}
				if got := statusLine.FindSubmatch(r.Output); got == nil || string(got[1]) != c.status {
					t.Errorf("$ %s\nstatus %q, want %s\n%s", c.Line, got, c.status, r.Output)
				}
			}
		})
	}
}
