package guard_test

import (
	"context"
	"net/http"
	"testing"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

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
