package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := lab.Cleanup(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// start starts a lab that ends with the test.
func start(t testing.TB, o lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// Every attack is carried out at every stage that is built; in short runs, at the last one,
// which has every defence. What has been measured already is taken from there.
func TestMatrix(t *testing.T) {
	t.Parallel()
	stages := catalog.All().Built()
	if testing.Short() {
		stages = stages[len(stages)-1:]
	}
	measured, err := lab.Kept()
	if errors.Is(err, lab.ErrNotKept) {
		measureMatrix(t, stages)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	cells := map[referee.Pair]manage.Cell{}
	for _, cell := range measured.Cells {
		cells[referee.Pair{Stage: cell.Stage, Attack: cell.Attack}] = cell
	}
	for _, pair := range referee.Pairs(stages, nil, nil) {
		asExpected(t, pair, cells[pair])
	}
	if retried := referee.Retried(measured.Cells); len(retried) > referee.MaxRetried {
		t.Errorf("%d attacks showed nothing at first: %+v", len(retried), retried)
	}
}

// measureMatrix carries the attacks out.
func measureMatrix(t *testing.T, stages catalog.Set) {
	var mu sync.Mutex
	var cells []manage.Cell
	t.Cleanup(func() {
		if retried := referee.Retried(cells); len(retried) > referee.MaxRetried {
			t.Errorf("%d attacks showed nothing at first: %+v", len(retried), retried)
		}
	})
	for _, pair := range referee.Pairs(stages, nil, nil) {
		t.Run(pair.Stage+"/"+pair.Attack, func(t *testing.T) {
			t.Parallel()
			cell, err := lab.Cell(t.Context(), catalog.All(), pair)
			if err != nil {
				t.Fatal(err)
			}
			asExpected(t, pair, cell)
			mu.Lock()
			defer mu.Unlock()
			cells = append(cells, cell)
		})
	}
}

func asExpected(t *testing.T, pair referee.Pair, cell manage.Cell) {
	t.Helper()
	if cell.Stage != pair.Stage || cell.Attack != pair.Attack {
		t.Errorf("%s at %s was not measured", pair.Attack, pair.Stage)
	} else if err := referee.Expected(catalog.All(), cell); err != nil {
		t.Errorf("%v\nsteps: %s\nevidence: %s", err, strings.Join(cell.Steps, "\n\t"), strings.Join(cell.Evidence, "\n\t"))
	}
}

// A defence that is switched off must be missed: the attack that it stops comes
// through, or is stopped elsewhere, and the matrix is no longer as expected.
func TestMatrixMissesEveryCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	clear := func(p *catalog.Policies) { p.Package.Secrets = catalog.ClearSecrets }
	// With the pins replaced the proxy gets in between, but what it reads is sealed.
	open := func(p *catalog.Policies) {
		p.Package.Secrets, p.Call.Bodies = catalog.ClearSecrets, catalog.PlainBodies
	}
	for _, tt := range []struct {
		check  catalog.Check
		off    func(*catalog.Policies)
		stage  string
		attack string
		want   catalog.Outcome
		by     catalog.Check // where it is still blocked: by what
	}{
		{"app-key", func(p *catalog.Policies) { p.Call.AppProof = catalog.NoAppProof }, "app-id", "unknown-client", catalog.Succeeds, ""},
		{"address-limit", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }, "app-id", "flood", catalog.Succeeds, ""},
		{"tls", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }, "tls", "wiretap", catalog.Succeeds, ""},
		{"tls", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }, "tls", "wire-tamper", catalog.Succeeds, ""},
		{"key-in-url", func(p *catalog.Policies) {
			p.Call.KeyPlace, p.API.KeyInURL = catalog.KeyInPublicURLs, catalog.KeyInURLAccepted
		}, "tls", "url-leak", catalog.Succeeds, ""},
		{"pins", func(p *catalog.Policies) { p.Call.Pins, p.Call.Transport = catalog.NotPinned, catalog.TLS }, "pinned-mtls", "trusted-proxy", catalog.Succeeds, ""},
		{"pins", func(p *catalog.Policies) { p.Call.Pins, p.Call.Transport = catalog.NotPinned, catalog.TLS }, "hmac", "trusted-proxy", catalog.Blocked, "hawk"},
		{"client-certificate", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }, "pinned-mtls", "unknown-client", catalog.Blocked, "app-key"},
		{"hawk", func(p *catalog.Policies) {
			p.Call.AppProof, p.Call.KeyPlace, p.Call.Nonces = catalog.AppKey, catalog.KeyInField, catalog.NoNonces
		}, "hmac", "proxy-tamper", catalog.Succeeds, ""},
		{"hidden", clear, "hidden-secrets", "static-extract", catalog.Succeeds, ""},
		{"hidden", open, "hidden-secrets", "repin", catalog.Succeeds, ""},
		{"nonce", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }, "hidden-secrets", "replay", catalog.Succeeds, ""},
		{"nonce", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }, "user-session", "replay", catalog.Succeeds, ""},
		{"binding", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp }, "user-session", "backup-restore", catalog.Succeeds, ""},
		{"not-stored", func(p *catalog.Policies) { p.Call.UserKey = catalog.UserKeyInStorage }, "password-grant", "backup-theft", catalog.Succeeds, ""},
		{"not-stored", func(p *catalog.Policies) { p.Call.UserKey = catalog.UserKeyInStorage }, "password-grant", "backup-restore", catalog.Succeeds, ""},
	} {
		t.Run(string(tt.check)+"/"+tt.attack, func(t *testing.T) {
			t.Parallel()
			stages := catalog.All().With(tt.stage, tt.off)
			if tt.check == "hidden" { // one package serves both stages
				stages = stages.With("user-session", tt.off)
			}
			cell, err := lab.Cell(t.Context(), stages, referee.Pair{Stage: tt.stage, Attack: tt.attack})
			if err != nil {
				t.Fatal(err)
			}
			if cell.Outcome != string(tt.want) || cell.Check != tt.by {
				t.Errorf("%s is off: %s by %q (%s), want %s by %q\n%s", tt.check, cell.Outcome, cell.Check, cell.Reason, tt.want, tt.by, strings.Join(cell.Steps, "\n"))
			}
			if referee.Expected(stages, cell) == nil {
				t.Errorf("%s is off at %s, and the matrix does not notice: %+v", tt.check, tt.stage, cell)
			}
		})
	}
}

// An app that keeps the session key in its memory only leaves nothing in the copy of its
// storage that stands for its user. That is a matter of the app alone: the API serves it as it
// serves the other.
func TestBackupTheftFromMemoryOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as a cell of the matrix")
	}
	t.Parallel()
	stages := catalog.All().With("user-session", func(p *catalog.Policies) { p.Call.UserKey = catalog.UserKeyInMemory })
	cell, err := lab.Cell(t.Context(), stages, referee.Pair{Stage: "user-session", Attack: "backup-theft"})
	if err != nil {
		t.Fatal(err)
	}
	if cell.Outcome != string(catalog.Blocked) || cell.Check != catalog.CheckNotStored {
		t.Errorf("%s by %q (%s)\n%s", cell.Outcome, cell.Check, cell.Reason, strings.Join(cell.Steps, "\n"))
	}
}

// What a stage's policy could say less of, and which call that is made beside the genuine
// app's is then served, or refused by another check.
func TestGenuineMissesWhatAPolicyLeavesOut(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	const last = "user-session"
	for _, tt := range []struct {
		stage string
		off   func(*catalog.Policies)
		want  string
	}{
		{"app-id", func(p *catalog.Policies) { p.API.UserAgents = catalog.AnyUserAgent }, "rates in a browser: "},
		{"app-id", func(p *catalog.Policies) { p.API.RateLimits = catalog.UnlimitedRates }, "more calls at once than the app may make: "},
		{"app-id", func(p *catalog.Policies) { p.API.Authorization = catalog.NotAuthorized }, "a freeze with an app that lacks the scope: "},
		{"tls", func(p *catalog.Policies) { p.Call.Transport = catalog.PlainHTTP }, "rates over plain HTTP: "},
		{"tls", func(p *catalog.Policies) { p.API.KeyInURL = catalog.KeyInURLAccepted }, "rates with the key in the URL: "},
		{"pinned-mtls", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }, "rates without a client certificate: "},
		{"hmac", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }, "POST /v1/devices: the API answers 404 "},
		{"hidden-secrets", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }, "rates asked for with one nonce twice: "},
		{"hidden-secrets", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }, "POST /v1/devices: the API answers 400 "},
		{last, func(p *catalog.Policies) { p.Call.Binding = catalog.NotBound }, "accounts as a user who signed in with another app: "},
		{last, func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp }, "accounts with a session of another device: "},
		{last, func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfDevice }, "a signed call with another user's session put into it: "},
		{last, func(p *catalog.Policies) { p.API.Authorization = catalog.AppScopes }, "a freeze by a customer, with the staff's app: "},
		{"password-grant", func(p *catalog.Policies) { p.Auth.Revocations = catalog.RevokedServed }, "accounts with a token that was revoked: "},
		{"password-grant", func(p *catalog.Policies) { p.Call.Binding = catalog.NotBound }, "accounts as a user who signed in with another app: "},
		{"password-grant", func(p *catalog.Policies) { p.API.Authorization = catalog.AppAndUser }, "accounts with a token for something else: "},
	} {
		t.Run(tt.stage+"/"+tt.want, func(t *testing.T) {
			t.Parallel()
			genuine, err := lab.Genuine(t.Context(), catalog.All().With(tt.stage, tt.off), tt.stage)
			if err != nil {
				t.Fatal(err)
			}
			if genuine.OK || !strings.Contains(genuine.Reason, tt.want) {
				t.Errorf("ok %v, %q", genuine.OK, genuine.Reason)
			}
		})
	}
}

// missed is what tells that the server does not heed a check: a call beside the genuine
// app's, or an attack.
type missed struct {
	at     func(catalog.Policies) bool // which stages have the check
	call   string
	attack string
}

// A server that does not heed one of its checks is found out at the first stage that has it
// and at the last, although the app does what it always does.
func TestEveryCheckIsMissed(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	rows := map[catalog.Check]missed{
		"transport":          {call: "rates over plain HTTP", at: func(p catalog.Policies) bool { return p.Call.Transport != catalog.PlainHTTP }},
		"user-agent":         {call: "rates in a browser", at: func(p catalog.Policies) bool { return p.API.UserAgents == catalog.RegisteredUserAgents }},
		"address-limit":      {attack: "flood", at: func(p catalog.Policies) bool { return p.API.RateLimits == catalog.LimitedRates }},
		"client-certificate": {call: "rates without a client certificate", at: func(p catalog.Policies) bool { return p.Call.Transport == catalog.MutualTLS }},
		"certificate-of-app": {call: "rates with the client certificate of another app", at: func(p catalog.Policies) bool { return p.Call.Transport == catalog.MutualTLS }},
		"key-in-url":         {call: "rates with the key in the URL", at: func(p catalog.Policies) bool { return p.API.KeyInURL == catalog.KeyInURLRefused }},
		"app-key":            {call: "rates under an invented key", at: func(p catalog.Policies) bool { return p.Call.AppProof == catalog.AppKey }},
		"hawk":               {call: "rates signed with another secret", at: func(p catalog.Policies) bool { return p.Call.AppProof == catalog.Hawk }},
		"signed-fields":      {call: "a signed call with another user's session put into it", at: func(p catalog.Policies) bool { return p.Call.Binding == catalog.SessionOfCall }},
		"nonce":              {call: "rates asked for with one nonce twice", at: func(p catalog.Policies) bool { return p.Call.Nonces == catalog.NoncesRemembered }},
		"app-limit":          {call: "more calls at once than the app may make", at: func(p catalog.Policies) bool { return p.API.RateLimits == catalog.LimitedRates }},
		"sealed-body":        {call: "a signed transfer in the clear", at: func(p catalog.Policies) bool { return p.Call.Bodies == catalog.SealedBodies }},
		"device":             {call: "rates without a device", at: func(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }},
		"sign-in":            {call: "a sign-in with a wrong password", at: func(p catalog.Policies) bool { return p.Call.UserProof == catalog.UserSession }},
		"session":            {call: "accounts without a session", at: func(p catalog.Policies) bool { return p.Call.UserProof == catalog.UserSession }},
		"access-token":       {call: "accounts with a token that says more than its issuer signed", at: func(p catalog.Policies) bool { return p.Call.UserProof == catalog.AccessToken }},
		"revoked":            {call: "accounts with a token that was revoked", at: func(p catalog.Policies) bool { return p.Auth.Revocations == catalog.RevokedRefused }},
		"binding":            {call: "accounts as a user who signed in with another app", at: func(p catalog.Policies) bool { return p.Call.Binding != catalog.NotBound }},
		"scope":              {call: "a freeze with an app that lacks the scope", at: func(p catalog.Policies) bool { return p.API.Authorization != catalog.NotAuthorized }},
	}
	elsewhere := map[catalog.Check]string{
		"stage":      "without it there is no stage, and no matrix",
		"body":       "it reads the body for the others, and bounds memory: see TestChecksRefuse of the guard",
		"partner":    "no app is one: see TestPartners of the guard",
		"app":        "what proves an app has refused before: see TestNobodyIsProven of the guard",
		"nonce-kept": "it refuses copies that come at the same moment, and when memory is full: see TestOneOfManyCopies of the guard",
	}
	for _, check := range guard.Checks() {
		row, ok := rows[check]
		if ok == (elsewhere[check] != "") {
			t.Errorf("say of the check %q where it is missed, once", check)
		}
		if !ok {
			continue
		}
		for _, stage := range firstAndLast(t, row.at) {
			t.Run(string(check)+"/"+stage.Slug, func(t *testing.T) {
				t.Parallel()
				stages := catalog.All().WithoutCheck(stage.Slug, check)
				if row.attack != "" {
					cell, err := lab.Cell(t.Context(), stages, referee.Pair{Stage: stage.Slug, Attack: row.attack})
					if err != nil {
						t.Fatal(err)
					}
					if cell.Outcome != string(catalog.Succeeds) || referee.Expected(stages, cell) == nil {
						t.Errorf("%s is %s: %s", row.attack, cell.Outcome, cell.Reason)
					}
					return
				}
				genuine, err := lab.Genuine(t.Context(), stages, stage.Slug)
				if err != nil {
					t.Fatal(err)
				}
				if genuine.OK || !strings.HasPrefix(genuine.Reason, row.call+": ") {
					t.Errorf("ok %v, %q", genuine.OK, genuine.Reason)
				}
			})
		}
	}
}

// firstAndLast are the first and the last built stage at which a policy is like that, as the
// catalog has it.
func firstAndLast(t *testing.T, at func(catalog.Policies) bool) catalog.Set {
	t.Helper()
	having := slices.DeleteFunc(catalog.All().Built(), func(stage catalog.Stage) bool { return !at(stage.Policies) })
	switch len(having) {
	case 0:
		t.Error("no stage that is built has the check")
		return nil
	case 1:
		return having
	}
	return catalog.Set{having[0], having[len(having)-1]}
}

// A revoked key is refused everywhere at once, and a restored one is good again.
func TestRevokedKey(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	for _, stage := range catalog.All().Built() {
		if genuine := l.Referee.Genuine(t.Context(), stage.Slug); !genuine.OK {
			t.Fatalf("at %s before: %s", stage.Slug, genuine.Reason)
		}
	}
	change := func(what string) {
		t.Helper()
		if _, err := manage.Post[any](t.Context(), l.Resource, "/keys/harbour-mobile/"+what, nil); err != nil {
			t.Fatal(err)
		}
	}
	change("revoke")
	for _, stage := range catalog.All().Built() {
		if genuine := l.Referee.Genuine(t.Context(), stage.Slug); genuine.OK {
			t.Errorf("at %s the revoked key is good", stage.Slug)
		}
	}
	change("restore")
	for _, stage := range catalog.All().Built() {
		if genuine := l.Referee.Genuine(t.Context(), stage.Slug); !genuine.OK {
			t.Errorf("at %s after: %s", stage.Slug, genuine.Reason)
		}
	}
}

// Installed apps go on working when the deployment is set back, although the server
// then knows none of their devices.
func TestReset(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	app := launch(t, newDevice(t, l, 1), "hmac")
	accounts := func() (device.Screen, error) { return app.Accounts(t.Context()) }
	served(t, "before", accounts)
	if genuine := l.Referee.Genuine(t.Context(), "hmac"); !genuine.OK {
		t.Fatal(genuine.Reason)
	}
	if _, err := manage.Post[any](t.Context(), l.Resource, "/reset", nil); err != nil {
		t.Fatal(err)
	}
	ledger, err := l.Resource.Ledger(t.Context())
	if err != nil || ledger.Accounts[0].Balance != 500_000_000 {
		t.Errorf("after the reset %+v, %v", ledger.Accounts, err)
	}
	served(t, "after", accounts)
}

// What was acknowledged is there after a restart, and what was made is kept.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := lab.Start(t.Context(), lab.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if first.Done != deploy.Made {
		t.Error("the first start made nothing")
	}
	if genuine := first.Referee.Genuine(t.Context(), "pinned-mtls"); !genuine.OK {
		t.Fatal(genuine.Reason)
	}
	before, usage := state(t, first)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, lab.Options{Dir: dir, Ports: first.Ports})
	if second.Done != deploy.Kept {
		t.Errorf("the second start %s it", second.Done)
	}
	after, usageAfter := state(t, second)
	if before != after {
		t.Errorf("the ledger was\n%s and is\n%s", before, after)
	}
	if usage != usageAfter {
		t.Errorf("the usage was\n%s and is\n%s", usage, usageAfter)
	}
	if genuine := second.Referee.Genuine(t.Context(), "pinned-mtls"); !genuine.OK {
		t.Error(genuine.Reason)
	}
}

// Sessions last as long as the lab was told: here the app's user is signed out again before
// the next call.
func TestShortSessions(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{
		"idle": {"session_idle": "1ns"}, "absolute": {"session_idle": "1ns", "session_lifetime": "1ns"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := start(t, lab.Options{Settings: settings})
			genuine := l.Referee.Genuine(t.Context(), "user-session")
			if genuine.OK || !strings.Contains(genuine.Reason, "your session has ended") {
				t.Errorf("%v, %q", genuine.OK, genuine.Reason)
			}
		})
	}
}

func state(t *testing.T, l *lab.Lab) (ledger, usage string) {
	t.Helper()
	accounts, err := l.Resource.Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	counted, err := l.Resource.Usage(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(accounts.Accounts) == 0 || len(counted) == 0 {
		t.Fatalf("%d accounts, %d usage rows", len(accounts.Accounts), len(counted))
	}
	return fmt.Sprintf("%+v", accounts), fmt.Sprintf("%+v", counted)
}

// How long a deployment takes to start, once it is made.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	first, err := lab.Start(b.Context(), lab.Options{Dir: dir, Screens: true})
	if err != nil {
		b.Fatal(err)
	}
	if err := first.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := lab.Start(b.Context(), lab.Options{Dir: dir, Screens: true, Ports: first.Ports})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// A lab that nobody waits for any more is not started.
func TestNoLabAfterTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lab.Start(ctx, lab.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a lab starts: %v", err)
	}
	_, err := lab.Matrix(ctx, catalog.All(), nil, nil, 1, func(int, int, manage.Cell) { t.Error("a cell is filled") })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the matrix says %v", err)
	}
}

// Throw-away labs begin alike and share no state, whatever the ones before them did, and
// get by when somebody else has taken the ports meanwhile.
func TestThrowAwayLabs(t *testing.T) {
	t.Parallel()
	// A set of its own, so that no other test's lab comes in between.
	stages := catalog.All().With("app-id", func(p *catalog.Policies) { p.API.UserAgents = catalog.AnyUserAgent })
	run := func() (addresses deployment.Addresses, roots string) {
		t.Helper()
		l, err := lab.Start(t.Context(), lab.Options{Stages: stages})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}()
		ledger, err := l.Resource.Ledger(t.Context())
		if err != nil || ledger.Accounts[0].Balance != 500_000_000 {
			t.Errorf("it begins with %+v, %v", ledger.Accounts, err)
		}
		devices, err := manage.Devices(t.Context(), l.Resource, manage.DeviceQuery{})
		if err != nil || devices.Total > 0 {
			t.Errorf("it begins with %+v, %v", devices, err)
		}
		if genuine := l.Referee.Genuine(t.Context(), "hmac"); !genuine.OK {
			t.Error(genuine.Reason)
		}
		return l.Addresses, string(l.Roots)
	}
	first, roots := run()
	shared := false
	for range 5 { // somebody may have taken a port in between
		before := roots
		if first, roots = run(); roots == before {
			shared = true
			break
		}
	}
	if !shared {
		t.Error("each has a deployment of its own")
	}
	taken, err := net.Listen("tcp", strings.TrimPrefix(first.URL(deployment.API), "https://"))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if third, _ := run(); third.URL(deployment.API) == first.URL(deployment.API) {
		t.Errorf("two listen at %s", third.URL(deployment.API))
	}
}

// On one deployment, as the admin UI runs it, the attacks of one stage do not get in the
// way of the next stage's calls.
func TestMatrixOnOneDeployment(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for limits")
	}
	t.Parallel()
	l := start(t, lab.Options{})
	attacks := []string{"flood", "password-guess"}
	var slugs []string
	for _, stage := range catalog.All().Built() {
		slugs = append(slugs, stage.Slug)
	}
	told := 0
	matrix := l.Referee.Matrix(t.Context(), slugs, attacks, func(done, total int, latest manage.Cell) {
		told++
		if done != told || total != len(slugs)+1 { // only the last stage has passwords
			t.Errorf("%d of %d, as number %d", done, total, told)
		}
	})
	for _, cell := range matrix.Cells {
		if err := referee.Expected(catalog.All(), cell); err != nil {
			t.Error(err)
		}
	}
	for _, genuine := range matrix.Genuine {
		if !genuine.OK {
			t.Errorf("the genuine app at %s: %s", genuine.Stage, genuine.Reason)
		}
	}
	if told != len(slugs)+1 || len(matrix.Genuine) != len(slugs) {
		t.Errorf("%d cells, %d runs of the genuine app", told, len(matrix.Genuine))
	}
}

// Who gives the staff's app a higher limit is not told that it has none.
func TestRaisedLimit(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	perSecond, burst := 200.0, 600
	if err := l.Resource.Do(t.Context(), http.MethodPatch, "/apps/harbour-ops", manage.AppChange{PerSecond: &perSecond, Burst: &burst}, nil); err != nil {
		t.Fatal(err)
	}
	if genuine := l.Referee.GenuineAlone(t.Context(), "tls"); !genuine.OK {
		t.Error(genuine.Reason)
	}
}
