package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/replay"
)

// TestForgottenNonces shows what the stage before leaves open.
func TestForgottenNonces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("hmac", http.MethodPost, "/v1/transfers", "{}")
	for i := range 3 {
		setBody(r, []byte("{}"))
		if answer, verdict := w.do(r); answer.Code != http.StatusOK {
			t.Errorf("time %d: %d, %+v", i, answer.Code, verdict)
		}
	}
}

// TestRestartDoesNotReopenTheWindow sends a call that was served to the server that comes
// next, which remembers nothing.
func TestRestartDoesNotReopenTheWindow(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ahead  time.Duration // the app's clock
		later  time.Duration
		killed bool // the server, in place of ending in order
	}{
		{0, 0, false},
		{0, time.Millisecond, false},
		{0, time.Second, false},
		{0, 30 * time.Second, false},
		{0, 59 * time.Second, false},
		{50 * time.Second, 0, false},
		{50 * time.Second, 30 * time.Second, false},
		{50 * time.Second, 109 * time.Second, false},
		{-50 * time.Second, time.Second, false},
		{0, 0, true},
		{0, 12 * time.Second, true},
		{50 * time.Second, time.Millisecond, true},
		{50 * time.Second, 109 * time.Second, true},
		{-50 * time.Second, time.Second, true},
	} {
		t.Run(fmt.Sprintf("%v later, %v ahead, killed %v", test.later, test.ahead, test.killed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, catalog.All())
			w.clock.now = w.clock.now.Truncate(time.Second).Add(100 * time.Millisecond)
			var kept time.Time
			resume := func(resumed bool) {
				w.config.Mark = replay.NewMark(replay.MarkConfig{
					Resumed: resumed, Before: kept, Skew: hawk.DefaultSkew,
					Write: func(until time.Time) error { kept = until; return nil },
				})
				w.start()
			}
			resume(false)
			r := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
			sent, err := w.client(catalog.Call{UserProof: catalog.NoUser}, mobile).Sign(r, nil, "", w.clock.Now().Add(test.ahead))
			if err != nil {
				t.Fatal(err)
			}
			w.sent.Store(signature(r), sent)
			if answer, verdict := w.do(r); answer.Code != http.StatusOK {
				t.Fatalf("%d, %+v", answer.Code, verdict)
			}
			w.clock.advance(test.later)
			if !test.killed {
				if err := w.config.Mark.Close(w.guard.Signed()); err != nil {
					t.Fatal(err)
				}
				if at, _ := hawk.Parse(signature(r)); fmt.Sprint(kept.Unix()) != at.Timestamp {
					t.Errorf("written at the end: %v, the call was signed for %s", kept.Unix(), at.Timestamp)
				}
			}
			resume(true)
			answer, verdict := w.do(r)
			if answer.Code != http.StatusUnauthorized || verdict.Check != "hawk" || !strings.Contains(answer.Header().Get("WWW-Authenticate"), "Stale") {
				t.Fatalf("the call from before the start: %d, %+v", answer.Code, verdict)
			}
			// The app does as it does with every stale request, and is served.
			client := w.client(catalog.Call{UserProof: catalog.NoUser}, mobile)
			if err := client.Learn(answer.Code, answer.Header(), w.clock.Now()); err != nil {
				t.Fatal(err)
			}
			anew := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
			w.sign(client, anew, nil)
			if answer, verdict := w.do(anew); answer.Code != http.StatusOK {
				t.Errorf("signed anew: %d, %+v", answer.Code, verdict)
			}
			if answer, _ := w.do(anew); answer.Code != http.StatusUnauthorized {
				t.Errorf("and once more: %d", answer.Code)
			}
		})
	}
}

// TestRestartWithAClockSetBack believes no time that clocks can't be ahead by.
func TestRestartWithAClockSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	w.config.Mark = replay.NewMark(replay.MarkConfig{
		Resumed: true, Before: w.clock.Now().AddDate(1, 0, 0), Skew: hawk.DefaultSkew, Write: func(time.Time) error { return nil },
	})
	w.start()
	w.clock.advance(62 * time.Second)
	if answer, verdict := w.do(w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
		t.Errorf("%d, %+v", answer.Code, verdict)
	}
}

// TestUnwrittenMarkServesNothing: what the next server would not know of must not be served.
func TestUnwrittenMarkServesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	full := true
	w.config.Mark = replay.NewMark(replay.MarkConfig{Write: func(time.Time) error {
		if full {
			return errors.New("the disk is full")
		}
		return nil
	}})
	w.start()
	r := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
	if answer, verdict := w.do(r); answer.Code != http.StatusServiceUnavailable || verdict.Check != "nonce-kept" || kindOf(answer) != "try-later" {
		t.Errorf("%d, %+v", answer.Code, verdict)
	}
	full = false
	if answer, verdict := w.do(r); answer.Code != http.StatusOK {
		t.Errorf("when there is room again: %d, %+v", answer.Code, verdict)
	}
}

// TestOneOfManyCopies sends copies of one call together: one is served.
func TestOneOfManyCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	r := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
	statuses := make(chan int, 20)
	for range cap(statuses) {
		go func() {
			answer := httptest.NewRecorder()
			w.echo.ServeHTTP(answer, r.Clone(r.Context()))
			statuses <- answer.Code
		}()
	}
	served := 0
	for range cap(statuses) {
		if <-statuses == http.StatusOK {
			served++
		}
	}
	if served != 1 {
		t.Errorf("%d copies were served", served)
	}
}

// TestFullMemoryOfNonces refuses what is new, and what was here before all the same.
func TestFullMemoryOfNonces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	w.config.Nonces = 3
	w.start()
	var served []*http.Request
	for range w.config.Nonces {
		r := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
		if answer, verdict := w.do(r); answer.Code != http.StatusOK {
			t.Fatalf("%d, %+v", answer.Code, verdict)
		}
		served = append(served, r)
	}
	for range 3 {
		answer, verdict := w.do(w.request("hidden-secrets", http.MethodGet, "/v1/accounts", ""))
		if answer.Code != http.StatusServiceUnavailable || verdict.Check != "nonce-kept" || answer.Header().Get("Retry-After") == "" || kindOf(answer) != "try-later" {
			t.Errorf("one more: %d %s, Retry-After %q, %+v", answer.Code, answer.Body, answer.Header().Get("Retry-After"), verdict)
		}
	}
	for i, r := range served {
		if answer, verdict := w.do(r); answer.Code != http.StatusUnauthorized || verdict.Check != "nonce" {
			t.Errorf("call %d once more: %d, %+v", i, answer.Code, verdict)
		}
	}
}

// TestLimitedAppsFillNoMemory lets an app whose secret leaked make far more calls than its
// limit allows: there is room for the others.
func TestLimitedAppsFillNoMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	perSecond, burst := 0.001, 5
	if _, err := w.apps.Change(context.Background(), kiosk, manage.AppChange{PerSecond: &perSecond, Burst: &burst}); err != nil {
		t.Fatal(err)
	}
	w.config.Nonces = burst + 2
	w.start()
	for range 20 {
		w.do(w.requestAs(as{app: kiosk}, "hidden-secrets", http.MethodGet, "/v1/rates", ""))
	}
	if answer, verdict := w.do(w.requestAs(as{app: kiosk}, "hidden-secrets", http.MethodGet, "/v1/rates", "")); answer.Code != http.StatusTooManyRequests || verdict.Check != "app-limit" {
		t.Errorf("the app that calls too often: %d, %+v", answer.Code, verdict)
	}
	for range 2 {
		if answer, verdict := w.do(w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
			t.Errorf("another app: %d, %+v", answer.Code, verdict)
		}
	}
}

// TestCopiesUseUpNoLimit: who sends an app's calls once more does not shut it out.
func TestCopiesUseUpNoLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	perSecond, burst := 0.001, 2
	if _, err := w.apps.Change(context.Background(), mobile, manage.AppChange{PerSecond: &perSecond, Burst: &burst}); err != nil {
		t.Fatal(err)
	}
	r := w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")
	w.do(r)
	for range 5 {
		if _, verdict := w.do(r); verdict.Check != "nonce" {
			t.Errorf("a copy: %+v", verdict)
		}
	}
	if answer, verdict := w.do(w.request("hidden-secrets", http.MethodGet, "/v1/accounts", "")); answer.Code != http.StatusOK {
		t.Errorf("the app: %d, %+v", answer.Code, verdict)
	}
}
