package upstream

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
)

// stranger is a provider that somebody else has written (testdata/oidc-provider.js).
type stranger struct {
	testing.TB
	issuer string
	tell   io.Writer
	says   *bufio.Scanner
}

// done is what its endpoints have done.
type done struct {
	Codes      int      `json:"authorization_code"` // that were exchanged
	Refreshes  int      `json:"refresh_token"`
	Refused    []string // errors
	Challenges int      // authorization requests with S256
}

const strangersSecret = "a secret of the mediator at a stranger's" // made up for a process that ends with the test

// stranger starts it. The mediator is its client, by a name and a secret.
func (w *world) stranger(name, nodePath string) *stranger {
	w.Helper()
	argument := testenv.Must[[]byte](w)(json.Marshal(map[string]string{"id": "bank-mediator", "secret": strangersSecret, "redirectURI": w.at("/callback/" + name)}))
	node := exec.CommandContext(w.Context(), "node", filepath.Join("testdata", "oidc-provider.js"), string(argument))
	node.Env = append(os.Environ(), "NODE_PATH="+nodePath)
	s := &stranger{TB: w, tell: testenv.Must[io.WriteCloser](w)(node.StdinPipe())}
	s.says = bufio.NewScanner(testenv.Must[io.ReadCloser](w)(node.StdoutPipe()))
	var complaint strings.Builder
	node.Stderr = &complaint
	if err := node.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = node.Process.Kill() // it waits for its standard input to end
		_ = node.Wait()
	})
	if s.issuer = s.line("http"); s.issuer == "" {
		w.Fatalf("oidc-provider does not start: %v\n%s", node.Wait(), &complaint)
	}
	return s
}

// line is the next of what it says that begins so: the package has notices of its own there.
func (s *stranger) line(prefix string) string {
	for s.says.Scan() {
		if strings.HasPrefix(s.says.Text(), prefix) {
			return s.says.Text()
		}
	}
	return ""
}

// set changes its settings while it runs, and is what it has done so far.
func (s *stranger) set(settings map[string]any) (d done) {
	s.Helper()
	line := testenv.Must[[]byte](s)(json.Marshal(settings))
	if _, err := s.tell.Write(append(line, '\n')); err != nil {
		s.Fatal(err)
	}
	if answer := s.line("{"); json.Unmarshal([]byte(answer), &d) != nil {
		s.Fatalf("oidc-provider answers %q, %v", answer, s.says.Err())
	}
	return d
}

func (s *stranger) done() done {
	s.Helper()
	return s.set(map[string]any{})
}

// described is what the mediator has to know of it: words for scopes, and users, of its own.
func (s *stranger) described(name string) manage.Provider {
	return manage.Provider{
		Name: name, Title: "Somebody else", Issuer: s.issuer,
		AuthorizationURL: s.issuer + "/auth", TokenURL: s.issuer + "/token", RevocationURL: s.issuer + "/token/revocation", UserinfoURL: s.issuer + "/me",
		ClientID: "bank-mediator", Secret: strangersSecret, ClientAuth: manage.SecretPost, PKCE: catalog.NoPKCE, AnnouncesIss: true, Tokens: catalog.OpaqueTokens,
		Scopes: map[string]string{"rates:read": "openid", "accounts:read": "openid balances", "transfers:write": "openid payments"},
		User:   manage.UserInUserinfo, UserClaim: "customer", Links: map[string]string{"customer of alice": "alice"},
		Enabled: true,
	}
}

// TestSomebodyElsesProvider: the npm package oidc-provider is added while everything runs, and the app
// that was there before signs its user in there. Then it asks for more, step by step: a sign-in fails,
// and says why, until what the mediator knows of it follows. Nothing is started again, and whoever has
// signed in before goes on.
func TestSomebodyElsesProvider(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	nodePath := testenv.NPM(t) // before a lab is started for nothing
	w := start(t, map[string]string{"token_lifetime_short": "2s"})
	p := w.phone()
	process := p.app.PID()
	if screen := p.signIn("alice", "elsewhere"); screen.OK {
		t.Fatalf("there is no such provider, and %+v", screen)
	}
	s := w.stranger("elsewhere", nodePath)
	known := testenv.Must[manage.Provider](t)(manage.AddProvider(t.Context(), w.mediator, s.described("elsewhere")))
	p.signsIn("alice", "elsewhere")
	if got := s.done(); got.Codes != 1 || got.Challenges != 0 || len(w.sessions("alice", "elsewhere")) != 1 {
		t.Errorf("it has done %+v, and the mediator's sessions are %+v", got, w.sessions("alice", "elsewhere"))
	}
	renewed := func() {
		t.Helper()
		before := s.done().Refreshes
		time.Sleep(2100 * time.Millisecond) // until the tokens of app and mediator have expired
		p.served("alice")
		if got := s.done(); got.Refreshes != before+1 {
			t.Errorf("it has renewed %d times, before: %d; refused: %v", got.Refreshes, before, got.Refused)
		}
	}
	renewed()
	other := w.phone() // whoever signs in from now on; the first phone's user stays signed in

	// fails is a sign-in that the provider refuses. What went wrong is between it and the mediator.
	fails := func(what, how string) {
		t.Helper()
		screen := other.signIn("alice", "elsewhere")
		all := w.verdicts()
		if screen.OK || len(all) == 0 {
			t.Fatalf("%s: %+v, %v", what, screen, all)
		}
		if last := all[len(all)-1]; last.Check != catalog.CheckProvider || !strings.Contains(last.Reason, how) {
			t.Errorf("%s: refused by %s: %s", what, last.Check, last.Reason)
		}
		if !strings.Contains(screen.Error, "server_error") && !strings.Contains(screen.Error, "sign in") {
			t.Errorf("%s: the app says %q", what, screen.Error)
		}
		t.Logf("%s: the app says %q; the mediator: %s", what, screen.Error, all[len(all)-1].Reason)
	}
	change := func(change func(*manage.Provider)) {
		t.Helper()
		change(&known)
		known = testenv.Must[manage.Provider](t)(manage.ChangeProvider(t.Context(), w.mediator, known))
	}

	s.set(map[string]any{"pkce": true})
	fails("PKCE at the provider alone", "invalid_request")
	change(func(p *manage.Provider) { p.PKCE = catalog.S256PKCE })
	other.signsIn("alice", "elsewhere")
	if got := s.done(); got.Codes != 2 || got.Challenges != 1 {
		t.Errorf("with PKCE it has done %+v", got)
	}
	other.signsOut()

	s.set(map[string]any{"auth": "client_secret_basic"})
	fails("authentication at the provider alone", "invalid_client")
	change(func(p *manage.Provider) { p.ClientAuth = manage.SecretBasic })
	other.signsIn("alice", "elsewhere")
	if got := s.done(); got.Codes != 3 || got.Challenges != 3 || !slices.Equal(slices.Compact(got.Refused), []string{"invalid_request", "invalid_client"}) {
		t.Errorf("with Basic authentication it has done %+v", got)
	}
	renewed()
	testenv.Within(t, 20*time.Second, "the provider has back what was given to who signed out meanwhile", func() bool {
		ended := testenv.Must[manage.MediatorSessionList](t)(manage.MediatorSessions(t.Context(), w.mediator, manage.MediatorSessionQuery{MediatorSessionFilter: manage.MediatorSessionFilter{State: "ended"}}))
		return ended.Total == 1 && !ended.Sessions[0].KeepsTokens
	})
	if p.app.PID() != process || known.Version != 3 {
		t.Errorf("the app was process %d, and is %d; version %d", process, p.app.PID(), known.Version)
	}
}
