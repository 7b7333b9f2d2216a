package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What --json prints has the same members everywhere, whatever there is to say.
func TestMatrixJSON(t *testing.T) {
	if testing.Short() {
		t.Skip("runs labs")
	}
	t.Parallel()
	var out, told bytes.Buffer
	c := command("")
	c.SetArgs([]string{"matrix", "--json", "--stage", "app-id", "--stage", "tls", "--attack", "wiretap", "--attack", "repin"})
	c.SetOut(&out)
	c.SetErr(&told)
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	var matrix struct{ Cells, Genuine []map[string]any }
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&matrix); err != nil {
		t.Fatal(err)
	}
	var outcomes []string
	for _, cell := range matrix.Cells {
		outcomes = append(outcomes, cell["outcome"].(string))
		members := slices.Sorted(maps.Keys(cell))
		if want := []string{"attack", "check", "evidence", "expected", "ms", "outcome", "reason", "stage", "steps", "tries"}; !slices.Equal(members, want) {
			t.Errorf("%s at %s has %q, want %q", cell["attack"], cell["stage"], members, want)
		}
		for _, list := range []string{"evidence", "steps"} {
			if _, ok := cell[list].([]any); !ok {
				t.Errorf("%s at %s: %s is %v, not a list", cell["attack"], cell["stage"], list, cell[list])
			}
		}
	}
	if want := []string{"succeeds", "n/a", "blocked", "n/a"}; !slices.Equal(outcomes, want) {
		t.Errorf("the outcomes are %q, want %q", outcomes, want)
	}
	if len(matrix.Genuine) != 2 {
		t.Errorf("%d runs of the genuine app, want 2", len(matrix.Genuine))
	}
	for _, genuine := range matrix.Genuine {
		members := slices.Sorted(maps.Keys(genuine))
		if want := []string{"ms", "ok", "reason", "stage"}; !slices.Equal(members, want) {
			t.Errorf("the genuine app at %s has %q, want %q", genuine["stage"], members, want)
		}
	}
	// Progress counts what there is to attack.
	if got := strings.Count(told.String(), "/2] "); got != 2 || strings.Contains(told.String(), "repin") {
		t.Errorf("the progress is\n%s", told.String())
	}
}

// Ctrl-C ends a command in the middle of an attack, without a verdict, and nothing of it
// stays.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("runs labs")
	}
	t.Parallel()
	for _, args := range [][]string{
		{"matrix", "--stage", "app-id", "--stage", "tls", "--jobs", "2"},
		{"attack", "app-id", "flood"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			c := exec.CommandContext(t.Context(), "stages", args...)
			c.Env = append(os.Environ(), "TMPDIR="+dir)
			var out, told bytes.Buffer
			c.Stdout, c.Stderr = &out, &told
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			for { // until the app runs
				if found, _ := filepath.Glob(filepath.Join(dir, "keyladder-victim-*")); len(found) > 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			_ = c.Wait() // its exit code is looked at
			if code := c.ProcessState.ExitCode(); code != interrupted {
				t.Errorf("exit code %d, want %d", code, interrupted)
			}
			if !strings.HasSuffix(told.String(), "stages: interrupted\n") || strings.Contains(told.String(), "context canceled") || strings.Contains(told.String(), "expected") {
				t.Errorf("it says %q", told.String())
			}
			if strings.Contains(out.String(), "Outcome") || strings.Contains(out.String(), "genuine app") {
				t.Errorf("it prints a verdict:\n%s", out.String())
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) > 0 {
				t.Errorf("it leaves %v, %v", left, err)
			}
		})
	}
}
