package typed_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/catalog/byhand"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/typed"
)

var (
	typedInStep = regexp.MustCompile("`([^`]+)`")
	appRefused  = regexp.MustCompile(`The app's own check that refused: (\S+)`)
	tools       = regexp.MustCompile(`^(?:sed|curl|openssl|unzip|python3|grep|tail|cat|cp|mkdir|printf|stages|mobileclient|pin=\$\(openssl|\{) ?`)
)

// commandsOf are what a person types who carries out an attack by hand.
func commandsOf(steps []string) (found []typed.Command) {
	for _, step := range steps {
		for _, match := range typedInStep.FindAllStringSubmatch(step, -1) {
			if tools.MatchString(match[1]) {
				found = append(found, typed.Command{Line: match[1], Beside: strings.HasPrefix(step, byhand.Beside)})
			}
		}
	}
	return found
}

// hand is an attack that was carried out by hand.
type hand struct {
	t       *testing.T
	lab     *lab.Lab
	stage   catalog.Stage
	attack  string
	dir     string
	servers map[*manage.Client]feed.Cursor // each with where its records were when the attack began
	results []typed.Result
}

// booked are the transfers that the attack was for, of those that are wanted.
func (h *hand) booked(wanted func(manage.Transfer) bool) (count int) {
	all, err := h.lab.Resource.Transfers(h.t.Context(), h.attack)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, b := range all {
		if b.Stage == h.stage.Slug && wanted(b) {
			count++
		}
	}
	return count
}

func anyTransfer(manage.Transfer) bool   { return true }
func toAttacker(b manage.Transfer) bool  { return b.To == catalog.MalloryAccount }
func aboveTheCap(b manage.Transfer) bool { return b.Amount > catalog.TransferCap }
func (h *hand) file(name string) []byte {
	data, _ := os.ReadFile(filepath.Join(h.dir, name)) // what is missing is empty
	return data
}

// latest is what the last command printed.
func (h *hand) latest() []byte { return h.results[len(h.results)-1].Output }

// refusedBy is the check that refused last: one of the app's own, or of the servers'.
func (h *hand) refusedBy() (check catalog.Check) {
	var all []traffic.Message
	for server, begin := range h.servers {
		recorded, err := server.Traffic(h.t.Context(), begin)
		if err != nil {
			h.t.Fatal(err)
		}
		all = append(all, recorded.Entries...)
	}
	slices.SortStableFunc(all, func(a, b traffic.Message) int { return a.At.Compare(b.At) })
	for _, m := range all {
		if m.Verdict != nil && !m.Verdict.Allowed && !strings.Contains(m.Verdict.Reason, dpop.ErrNonce.Error()) { // such a call is made again
			check = m.Verdict.Check
		}
	}
	for _, r := range h.results {
		// That the app refuses a transfer above its cap is what attacks on it begin with.
		if own := appRefused.FindSubmatch(r.Output); own != nil && catalog.Check(own[1]) != catalog.CheckTransferCap {
			check = catalog.Check(own[1])
		}
	}
	return check
}

// unless is the outcome of an attack that succeeded, or was blocked by what refused last.
func (h *hand) unless(succeeded bool) (catalog.Outcome, catalog.Check) {
	if succeeded {
		return catalog.Succeeds, ""
	}
	return catalog.Blocked, h.refusedBy()
}

// or is the same where it ends with nothing to send, for a reason that can be seen.
func (h *hand) or(succeeded, ended bool, check catalog.Check) (catalog.Outcome, catalog.Check) {
	switch {
	case succeeded:
		return catalog.Succeeds, ""
	case ended:
		return catalog.Blocked, check
	}
	return catalog.Inconclusive, ""
}

// achieved tells what each attack achieved that was carried out by hand.
var achieved = map[string]func(*hand) (catalog.Outcome, catalog.Check){
	"unknown-client": func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) > 0) },
	"wire-tamper": func(h *hand) (catalog.Outcome, catalog.Check) {
		outcome, check := h.unless(h.booked(toAttacker) > 0)
		if outcome == catalog.Blocked && bytes.Contains(h.file("changed.txt"), []byte("refused the access point's own certificate")) {
			check = catalog.CheckTLS // the user agent has, where users sign in on a page
		}
		return outcome, check
	},
	"trusted-proxy":      func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) > 0) },
	"memory-hook":        func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) > 0) },
	"hash-spoof":         func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) > 0) },
	"attestation-replay": func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) > 0) },
	"hardware-oracle":    func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) > 0) },
	"challenge-oracle":   func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) > 0) },
	"token-lift":         func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) > 0) },
	"password-grab": func(h *hand) (catalog.Outcome, catalog.Check) {
		return h.or(h.booked(toAttacker) > 0, len(h.file("typed.txt")) == 0, catalog.CheckNotTyped)
	},
	"agent-spy":      func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(toAttacker) > 0) },
	"redirect-swap":  func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(toAttacker) > 0) },
	"code-hijack":    func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(toAttacker) > 0) },
	"weak-provider":  func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(toAttacker) > 0) },
	"code-relay":     func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(toAttacker) > 0) },
	"verifier-spy":   func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(toAttacker) > 0) },
	"refresh-reuse":  func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(toAttacker) > 0) },
	"backup-theft":   stored,
	"backup-restore": stored,
	"token-forge": func(h *hand) (catalog.Outcome, catalog.Check) {
		return h.unless(bytes.Contains(h.latest(), []byte(`"balance"`)))
	},
	"repackaged-app": func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(aboveTheCap) > 0) },
	"instrumented-app": func(h *hand) (catalog.Outcome, catalog.Check) {
		outcome, check := h.unless(h.booked(aboveTheCap) > 0)
		if check == catalog.CheckAttested { // each command begins the app anew, and it renews its token before it calls
			check = catalog.CheckIntegrity
		}
		return outcome, check
	},
	"replay":       func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(anyTransfer) == 2) },
	"proxy-tamper": func(h *hand) (catalog.Outcome, catalog.Check) { return h.unless(h.booked(toAttacker) > 0) },
	"stolen-bearer": func(h *hand) (catalog.Outcome, catalog.Check) {
		return h.unless(bytes.Contains(h.latest(), []byte(`"balance"`)))
	},
	"password-guess": func(h *hand) (catalog.Outcome, catalog.Check) {
		return h.unless(bytes.Contains(h.latest(), []byte("session_key")) || bytes.Contains(h.latest(), []byte("access_token")))
	},
	"flood": func(h *hand) (catalog.Outcome, catalog.Check) {
		counted := string(h.results[len(h.results)-2].Output) // before a look at the limits
		limited := regexp.MustCompile(`(?m)^ *(\d+) 429$`).FindStringSubmatch(counted)
		return h.or(false, limited != nil && strings.Contains(counted, " 200"), catalog.CheckAddressLimit)
	},
	"wiretap": func(h *hand) (catalog.Outcome, catalog.Check) {
		heard := h.file("heard.txt")
		return h.or(h.booked(toAttacker) > 0, bytes.Contains(heard, []byte("bytes, encrypted")) && !bytes.Contains(heard, []byte("HTTP/1.1")), catalog.CheckTLS)
	},
	"url-leak": func(h *hand) (catalog.Outcome, catalog.Check) {
		log := h.file("access.log")
		return h.or(h.booked(toAttacker) > 0, bytes.Contains(log, []byte("/v1/rates")) && !bytes.Contains(log, []byte("key=harbour")), catalog.CheckKeyInURL)
	},
	"repin": func(h *hand) (catalog.Outcome, catalog.Check) {
		read := bytes.Contains(h.file("seen.txt"), []byte(`"balance"`))
		if h.stage.Package.Secrets == catalog.HiddenSecrets {
			return h.or(read, bytes.Contains(h.latest(), []byte("there is no setting SERVER_PINS")), catalog.CheckHidden)
		}
		return h.unless(read)
	},
	"static-extract": func(h *hand) (catalog.Outcome, catalog.Check) {
		found := string(h.latest())
		if h.stage.Package.Secrets != catalog.HiddenSecrets {
			return h.unless(h.booked(anyTransfer) > 0)
		}
		return h.or(h.booked(anyTransfer) > 0, strings.HasPrefix(found, "found: the client ID") && !strings.Contains(found, "secret") && !strings.Contains(found, "private key"), catalog.CheckHidden)
	},
}

// stored is what an attack achieved that was carried out with what the victim's app stores.
func stored(h *hand) (catalog.Outcome, catalog.Check) {
	if robbed := h.booked(toAttacker) > 0; robbed || h.stage.Call.UserKey == catalog.UserKeyInStorage {
		return h.unless(robbed)
	}
	empty := true
	err := filepath.WalkDir(filepath.Join(h.dir, "backup"), func(_ string, entry fs.DirEntry, err error) error {
		empty = empty && (err != nil || entry.IsDir())
		return err
	})
	return h.or(false, err == nil && empty, catalog.CheckNotStored)
}

// freePorts are what is typed in place of the ports on which an attacker listens.
func freePorts(t *testing.T, printed ...string) (replaced []string) {
	t.Helper()
	for _, address := range printed {
		listener := testenv.FreePort(t)
		defer listener.Close() // when each has one of its own
		replaced = append(replaced, address, listener.Addr().String())
	}
	return replaced
}

// The commands in the steps of attacks can be typed as they are printed, at each stage, and
// achieve there what the catalog expects of the attack: it succeeds, or it is blocked by the
// check that has to block it.
func TestStepsByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the command lines")
	}
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "unzip", "python3", "openssl"} {
		testenv.Program(t, tool)
	}
	l, err := lab.Start(t.Context(), lab.Options{Screens: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), lab.Cleanup()); err != nil {
			t.Error(err)
		}
	})
	programs := t.TempDir()
	setup := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(strings.ReplaceAll(byhand.Setup, "$PWD/data/bin", programs), "data/bin", programs)+" && stages --version && mobileclient --version")
	setup.Dir = "../../../.."
	if output, err := setup.CombinedOutput(); err != nil {
		t.Fatalf("$ %s\n%v\n%s", byhand.Setup, err, output)
	}
	env := append(os.Environ(), "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"))
	var printed []string
	for _, service := range deployment.Services() {
		printed = append(printed, fmt.Sprint("localhost:", service.Port), fmt.Sprint("localhost:", l.Ports[service.Name]))
	}
	servers := serversOf(t, l)
	for _, attack := range catalog.Attacks() {
		for _, stage := range typedAt(attack) {
			t.Run(attack.Name+" at "+stage.Slug, func(t *testing.T) {
				h := hand{t: t, lab: l, stage: stage, attack: attack.Name, dir: t.TempDir(), servers: map[*manage.Client]feed.Cursor{}}
				if err := os.Symlink(l.Dir, filepath.Join(h.dir, "data")); err != nil {
					t.Fatal(err)
				}
				var err error
				for _, server := range servers {
					if h.servers[server], err = server.TrafficEnd(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				rest(t, l)
				commands := commandsOf(byhand.Steps(attack, stage))
				ports := strings.NewReplacer(append(freePorts(t, "127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"), printed...)...)
				h.results = typed.All(t, h.dir, env, commands, ports)
				outcome, check := achieved[attack.Name](&h)
				if !attack.AsExpected(stage, outcome, check) {
					t.Errorf("%s %s, expected %s %s", outcome, check, attack.Expected(stage), attack.BlockedBy(stage))
				}
				for i, r := range h.results {
					if r.Exit != 0 && outcome == catalog.Succeeds && !refusedAsPrinted(commands[i].Line, r) || t.Failed() {
						t.Errorf("$ %s\nexit code %d\n%.2000s", commands[i].Line, r.Exit, r.Output)
					}
				}
			})
		}
	}
}

// typedAt are the stages at which an attack's steps are typed: the last one, and before that those
// where something has to be typed, or comes of it, that is not so later.
func typedAt(attack catalog.Attack) (at catalog.Set) {
	known := map[string]bool{}
	for _, stage := range slices.Backward(catalog.All().Built()) {
		if attack.Expected(stage) == catalog.NotApplicable {
			continue
		}
		alike := strings.NewReplacer(stage.Slug, "STAGE", fmt.Sprintf("bank-%d.pkg", stage.Package.Release), "PACKAGE", fmt.Sprintf("Bank/%d.0", stage.Package.Release), "AGENT")
		lines := append(byhand.Steps(attack, stage), fmt.Sprint(attack.Expected(stage), attack.BlockedBy(stage)))
		fresh := false
		for _, line := range lines {
			line = alike.Replace(line)
			fresh = fresh || !known[line]
			known[line] = true
		}
		if fresh {
			at = append(at, stage)
		}
	}
	slices.Reverse(at)
	return at
}

// serversOf are the servers that decide about calls, for what they have on record.
func serversOf(t *testing.T, l *lab.Lab) (servers []*manage.Client) {
	t.Helper()
	admin, err := deployment.Open(l.Dir, deployment.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range deployment.Servers() {
		server, err := manage.NewClient(admin, role)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		servers = append(servers, server)
	}
	return servers
}

// refusedAsPrinted is whether the steps say that the command is refused: a transfer above the
// cap, and the sign-in to an app that is not the bank's.
func refusedAsPrinted(line string, r typed.Result) bool {
	own := appRefused.FindSubmatch(r.Output)
	return own != nil && catalog.Check(own[1]) == catalog.CheckTransferCap || strings.Contains(line, "look-alike.pkg sign-in") ||
		own != nil && catalog.Check(own[1]) == catalog.CheckPins && strings.Contains(line, " --proxy ") || strings.Contains(line, " --beside ")
}

// rest waits until the API has room again for many calls from this address.
func rest(t *testing.T, l *lab.Lab) {
	t.Helper()
	for {
		resp, err := http.Get(l.Addresses.URL(deployment.PlainAPI) + "/" + catalog.All()[0].Slug + "/v1/rates")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		var left int
		if _, err := fmt.Sscanf(resp.Header.Get("RateLimit"), `"address";r=%d`, &left); err != nil {
			t.Fatalf("RateLimit: %q: %v", resp.Header.Get("RateLimit"), err)
		}
		if left > 40 {
			return
		}
		time.Sleep(100 * time.Millisecond) // in which two more calls are allowed
	}
}
