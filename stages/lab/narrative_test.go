package lab_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/lab"
)

// command is a line of a narrative that a reader types, and what must come of it.
type command struct {
	line   string
	status string // of the HTTP response; empty: none is promised
	exit   int
}

var (
	promised   = regexp.MustCompile(`^# (\d{3})$`)
	exits      = regexp.MustCompile(`^# exit (\d+)$`)
	statusLine = regexp.MustCompile(`(?m)^(?:HTTP/[0-9.]+ )?(\d{3})\b`)
)

// commands are those of a narrative's console blocks that need nothing but common tools.
func commands(narrative string) []command {
	var found []command
	for line := range strings.Lines(narrative) {
		line = strings.TrimSpace(line)
		if typed, ok := strings.CutPrefix(line, "$ "); ok {
			found = append(found, command{line: typed})
			continue
		}
		if len(found) == 0 {
			continue
		}
		latest := &found[len(found)-1]
		if m := promised.FindStringSubmatch(line); m != nil {
			latest.status = m[1]
		} else if m := exits.FindStringSubmatch(line); m != nil {
			latest.exit, _ = strconv.Atoi(m[1])
		}
	}
	var typed []command
	for _, c := range found {
		switch tool, _, _ := strings.Cut(c.line, " "); tool {
		case "curl", "unzip", "python3", "openssl", "printf":
			typed = append(typed, c)
		case "go":
			for _, quick := range []string{"sign", "open"} {
				if strings.HasPrefix(c.line, "go run ./stages "+quick) {
					typed = append(typed, c)
				}
			}
		}
	}
	return typed
}

// toolPath is a PATH on which `go run ./stages` runs the workshop runner, built once, from
// any folder.
func toolPath(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	runner := filepath.Join(dir, "stages")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", runner, "keyladder/stages").CombinedOutput(); err != nil {
		t.Fatalf("build the workshop runner: %v\n%s", err, output)
	}
	script := "#!/bin/sh\nshift 2\nexec '" + runner + "' \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir + string(os.PathListSeparator) + os.Getenv("PATH")
}

// What the narratives tell the reader to type works as printed, against a running
// deployment: only the ports are others.
func TestNarrativeCommands(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "curl", "unzip", "python3", "openssl"} {
		testenv.Program(t, tool)
	}
	l := start(t, lab.Options{Screens: true})
	path := toolPath(t)
	ports := strings.NewReplacer(
		"localhost:8080", "localhost"+l.Addresses.Plain[strings.LastIndexByte(l.Addresses.Plain, ':'):],
		"localhost:8443", "localhost"+l.Addresses.TLS[strings.LastIndexByte(l.Addresses.TLS, ':'):],
		"http://localhost:8000", l.AdminURL,
		"http://localhost:8090", l.PhoneURL,
	)
	for _, stage := range catalog.All().Built() {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			typed := commands(stage.Narrative())
			if len(typed) < 3 {
				t.Fatalf("only %d commands", len(typed))
			}
			dir := t.TempDir()
			if err := os.Symlink(l.Dir, filepath.Join(dir, "data")); err != nil {
				t.Fatal(err)
			}
			for _, c := range typed {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				sh := exec.CommandContext(ctx, "sh", "-c", ports.Replace(c.line))
				sh.Dir = dir
				sh.Env = append(os.Environ(), "PATH="+path)
				output, err := sh.CombinedOutput()
				cancel()
				exit := 0
				var failed *exec.ExitError
				if errors.As(err, &failed) {
					exit = failed.ExitCode()
				} else if err != nil {
					t.Fatal(err)
				}
				if exit != c.exit {
					t.Errorf("$ %s\nexit code %d, want %d\n%s", c.line, exit, c.exit, output)
				}
				if c.status == "" {
					continue
				}
				if got := statusLine.FindSubmatch(output); got == nil || string(got[1]) != c.status {
					t.Errorf("$ %s\nstatus %q, want %s\n%s", c.line, got, c.status, output)
				}
			}
		})
	}
}
