package lab_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
)

var typedInStep = regexp.MustCompile("`([^`]+)`")

// commandsOf are what a person types who carries out an attack by hand: all but what needs a
// proxy of the person's own.
func commandsOf(attack catalog.Attack, stage catalog.Stage) (typed []command) {
	for _, step := range attack.Steps(stage) {
		for _, match := range typedInStep.FindAllStringSubmatch(step, -1) {
			word, _, _ := strings.Cut(match[1], " ")
			switch word = strings.SplitAfter(word, "=")[0]; word {
			case "curl", "openssl", "unzip", "python3", "stages", "mobileclient", "pin=$(openssl", "pin=":
				if !strings.Contains(match[1], "--proxy") {
					typed = append(typed, command{line: match[1]})
				}
			}
		}
	}
	return typed
}

// The commands in the steps of attacks can be typed as they are printed, at each stage, and
// achieve what the attack achieves.
func TestStepsByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the command lines")
	}
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "unzip", "python3", "openssl"} {
		testenv.Program(t, tool)
	}
	l := start(t, lab.Options{Screens: true})
	programs := t.TempDir()
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", programs, "keyladder/stages", "keyladder/mobileclient").CombinedOutput(); err != nil {
		t.Fatalf("build the command lines: %v\n%s", err, output)
	}
	env := append(os.Environ(), "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	var printed []string
	for _, service := range deployment.Services() {
		printed = append(printed, fmt.Sprint("localhost:", service.Port), fmt.Sprint("localhost:", l.Ports[service.Name]))
	}
	ports := strings.NewReplacer(printed...)
	tests := []struct {
		attack   string
		commands int // at least
		achieved func(t *testing.T, stage catalog.Stage, results []result)
	}{
		{"unknown-client", 2, func(t *testing.T, _ catalog.Stage, results []result) {
			for _, r := range results {
				if status := statusLine.FindSubmatch(r.output); status != nil && status[1][0] != '4' {
					t.Errorf("a stranger gets\n%s", r.output)
				}
			}
		}},
		{"static-extract", 2, func(t *testing.T, stage catalog.Stage, results []result) {
			inClear := stage.Package.Secrets == catalog.ClearSecrets
			if shown := results[1].output; strings.Contains(string(shown), "SHARED_SECRET") != inClear || !strings.Contains(string(shown), "CLIENT_ID") {
				t.Errorf("the package's settings:\n%s", shown)
			}
		}},
		{"repin", 2, func(t *testing.T, stage catalog.Stage, results []result) {
			latest := string(results[len(results)-1].output)
			if stage.Package.Secrets == catalog.ClearSecrets && !strings.Contains(latest, "packed repinned.pkg") {
				t.Error(latest)
			}
		}},
		{"repackaged-app", 3, func(t *testing.T, stage catalog.Stage, _ []result) {
			booked, err := l.Resource.Transfers(t.Context(), "changed")
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range booked {
				if b.Stage == stage.Slug && b.Amount > catalog.TransferCap {
					return
				}
			}
			t.Errorf("booked: %+v", booked)
		}},
		{"password-guess", 2, func(t *testing.T, _ catalog.Stage, results []result) {
			if status := statusLine.FindSubmatch(results[1].output); status == nil || status[1][0] != '4' {
				t.Errorf("a guessed password gets\n%s", results[1].output)
			}
		}},
		{"token-forge", 7, func(t *testing.T, _ catalog.Stage, results []result) {
			if read := string(results[2].output); !strings.Contains(read, `"sub":"mallory"`) {
				t.Errorf("the token says\n%s", read)
			}
			for _, forged := range []int{4, 6} {
				if status := statusLine.FindSubmatch(results[forged].output); status == nil || string(status[1]) != "401" {
					t.Errorf("a forged token gets\n%s", results[forged].output)
				}
			}
		}},
	}
	for _, test := range tests {
		attack, _ := catalog.LookupAttack(test.attack)
		for _, stage := range catalog.All().Built() {
			if attack.Expected(stage) == catalog.NotApplicable {
				continue
			}
			t.Run(test.attack+" at "+stage.Slug, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.Symlink(l.Dir, filepath.Join(dir, "data")); err != nil {
					t.Fatal(err)
				}
				typed := commandsOf(attack, stage)
				if len(typed) < test.commands {
					t.Fatalf("only %d commands", len(typed))
				}
				results := typeAll(t, dir, env, typed, ports)
				for i, r := range results {
					// Of a certificate that nobody knows curl is only told that the connection ended.
					if ended := strings.Contains(typed[i].line, "--cert own.pem"); (r.exit != 0) != ended {
						t.Errorf("$ %s\nexit code %d\n%s", typed[i].line, r.exit, r.output)
					}
				}
				test.achieved(t, stage, results)
			})
		}
	}
}
