// Dependencies tells which modules that the programs are built from are more than a year older
// than their newest version, and which have a fault that advisories.txt knows of. It fails when
// it has something to tell, and when it could not look. With -offline it looks into
// advisories.txt alone. Modules that have to stay as they are, and why, are in held.txt.
//
//	go run ./.ci/dependencies
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

//go:embed advisories.txt
var advisories string

//go:embed held.txt
var held string

const tooOld = 365 * 24 * time.Hour

// module is what `go list -m -u -json` says.
type module struct {
	Path, Version string
	Time          time.Time
	Update        *struct {
		Version string
		Time    time.Time
	}
	Error *struct{ Err string }
}

func main() {
	offline := flag.Bool("offline", false, "do not ask for newer versions")
	flag.Parse()
	modules, err := built(!*offline)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	faults, err := faulty(modules, advisories)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, m := range modules {
		if m.Update != nil && m.Update.Time.Sub(m.Time) > tooOld && !isHeld(m, held) {
			faults = append(faults, fmt.Sprintf("%s %s of %s: %s of %s is more than a year newer",
				m.Path, m.Version, m.Time.Format(time.DateOnly), m.Update.Version, m.Update.Time.Format(time.DateOnly)))
		}
	}
	for _, fault := range faults {
		fmt.Println(fault)
	}
	fmt.Printf("%d modules, %d faults\n", len(modules), len(faults))
	if len(faults) > 0 {
		os.Exit(1)
	}
}

// built are the modules of the packages that are compiled into the programs, without those of
// tests and tools.
func built(ask bool) ([]module, error) {
	out, err := run("list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "keyladder/...")
	if err != nil {
		return nil, err
	}
	paths := strings.Fields(string(out))
	slices.Sort(paths)
	args := []string{"list", "-m", "-json"}
	if ask {
		args = append(args, "-u")
	}
	if out, err = run(append(args, slices.Compact(paths)...)...); err != nil {
		return nil, err
	}
	var modules []module
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var m module
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return modules, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list says: %w", err)
		}
		if m.Error != nil {
			return nil, fmt.Errorf("%s: %s", m.Path, m.Error.Err)
		}
		modules = append(modules, m)
	}
}

func run(args ...string) ([]byte, error) {
	command := exec.Command("go", args...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", strings.Join(args[:2], " "), err)
	}
	return out, nil
}

// isHeld says whether a module stays at its version, for a reason.
func isHeld(m module, held string) bool {
	for line := range strings.Lines(held) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == m.Path && fields[1] == m.Version {
			return true
		}
	}
	return false
}

// faulty says which modules are older than the advisories want them.
func faulty(modules []module, advisories string) (faults []string, err error) {
	for line := range strings.Lines(advisories) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 3 || !semver.IsValid(fields[1]) {
			return nil, fmt.Errorf("advisories.txt: %q is no module, version and reason", line)
		}
		for _, m := range modules {
			if m.Path == fields[0] && semver.Compare(m.Version, fields[1]) < 0 {
				faults = append(faults, fmt.Sprintf("%s %s: use %s or newer: %s", m.Path, m.Version, fields[1], strings.Join(fields[2:], " ")))
			}
		}
	}
	return faults, nil
}
