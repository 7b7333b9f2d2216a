package main

import (
	"strings"
	"testing"
)

func TestFaulty(t *testing.T) {
	t.Parallel()
	const known = "# a comment\n\nexample.org/a v1.10.0 it breaks: badly\nexample.org/b v0.0.0-20220412211240-33da011f77ad it leaks\n"
	modules := []module{{Path: "example.org/a", Version: "v1.9.3"}, {Path: "example.org/b", Version: "v0.1.0"}, {Path: "example.org/c", Version: "v1.0.0"}}
	faults, err := faulty(modules, known)
	if err != nil || len(faults) != 1 || faults[0] != "example.org/a v1.9.3: use v1.10.0 or newer: it breaks: badly" {
		t.Errorf("%q, %v", faults, err)
	}
	for _, bad := range []string{"example.org/a v1.10.0", "example.org/a 1.10.0 it breaks"} {
		if _, err := faulty(modules, bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestAdvisories(t *testing.T) {
	t.Parallel()
	modules, err := built(false)
	if err != nil {
		t.Fatal(err)
	}
	if len(modules) < 10 {
		t.Errorf("%d modules are built in", len(modules))
	}
	faults, err := faulty(modules, strings.ReplaceAll(advisories, "github.com/mattn/go-sqlite3       v1.14.53", "github.com/mattn/go-sqlite3 v99.0.0"))
	if err != nil || len(faults) != 1 {
		t.Errorf("an advisory about the newest SQLite: %q, %v", faults, err)
	}
}

func TestIsHeld(t *testing.T) {
	t.Parallel()
	const held = "# a comment\n\nexample.org/a v1.10.0 it has to\nexample.org/b v1.0.0\n"
	for _, test := range []struct {
		path, version string
		want          bool
	}{
		{"example.org/a", "v1.10.0", true},
		{"example.org/a", "v1.9.0", false},
		{"example.org/b", "v1.0.0", false}, // without a reason
		{"example.org/c", "v1.10.0", false},
	} {
		if got := isHeld(module{Path: test.path, Version: test.version}, held); got != test.want {
			t.Errorf("%s %s: %t", test.path, test.version, got)
		}
	}
}
