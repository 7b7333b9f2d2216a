package introspection_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"keyladder/backend/introspection"
	"keyladder/internal/deployment"
)

const audience = "https://api.example/one/v1"

// issuer is another server that answers as it is told.
type issuer struct {
	*httptest.Server
	asked atomic.Int64
	says  atomic.Pointer[map[string]any]
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		said := i.says.Load()
		switch _, _, basic := r.BasicAuth(); {
		case said == nil:
			w.WriteHeader(http.StatusInternalServerError)
		case basic || r.FormValue("client_id") != "api" || r.FormValue("client_secret") != "s":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_ = json.NewEncoder(w).Encode(said)
		}
	}))
	t.Cleanup(i.Close)
	return i
}

// good is what it says about a token that is good, but for what is changed.
func (i *issuer) good(change func(map[string]any)) *map[string]any {
	says := map[string]any{
		"active": true, "scope": "accounts:read rates:read", "client_id": "app", "sub": "alice", "exp": time.Now().Add(time.Hour).Unix(),
		"iat": time.Now().Unix(), "aud": audience, "iss": i.URL + "/one", "jti": "j1",
	}
	if change != nil {
		change(says)
	}
	return &says
}

func (i *issuer) client(now func() time.Time) *introspection.Client {
	roots := x509.NewCertPool()
	roots.AddCert(i.Certificate())
	return introspection.New(introspection.Config{
		As: deployment.Client{ID: "api", Secret: "s"}, Roots: roots, Program: "resource", Now: now,
		Issuer:   func(stage string) string { return i.URL + "/" + stage },
		Audience: func(string) string { return audience },
	})
}

// TestAnswersAreRemembered: for less than a second, good and bad ones, and no failure.
func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	i, now := newIssuer(t), time.Now()
	c := i.client(func() time.Time { return now })
	call := httptest.NewRequest(http.MethodGet, "/", nil)
	find := func(want error) {
		t.Helper()
		found, err := c.Find(call, "one", "token")
		if !errors.Is(err, want) || want == nil && (found.Subject != "alice" || found.ClientID != "app" || !found.May("rates:read")) {
			t.Errorf("%+v, %v; want %v", found, err, want)
		}
	}
	find(introspection.ErrUnanswered)
	find(introspection.ErrUnanswered)
	i.says.Store(i.good(nil))
	find(nil)
	inactive := map[string]any{"active": false}
	i.says.Store(&inactive) // revoked
	find(nil)
	now = now.Add(time.Second)
	find(introspection.ErrInactive)
	i.says.Store(nil)
	find(introspection.ErrInactive)
	if n := i.asked.Load(); n != 4 {
		t.Errorf("asked %d times", n)
	}
	now = now.Add(time.Second)
	find(introspection.ErrUnanswered)
	i.says.Store(i.good(nil))
	find(nil)
	now = now.Add(-time.Hour) // a clock that is set back brings no answer back
	i.says.Store(&inactive)
	find(introspection.ErrInactive)
}

// TestWhatIsNotForUs: a token of another stage, for another API, expired, or of which not all is said.
func TestWhatIsNotForUs(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for name, change := range map[string]func(map[string]any){
		"another stage": func(says map[string]any) { says["iss"] = i.URL + "/two" },
		"another API":   func(says map[string]any) { says["aud"] = audience + "/" },
		"expired":       func(says map[string]any) { says["exp"] = time.Now().Add(-time.Second).Unix() },
		"no expiry":     func(says map[string]any) { delete(says, "exp") },
		"no user":       func(says map[string]any) { delete(says, "sub") },
		"no client":     func(says map[string]any) { delete(says, "client_id") },
		"not active":    func(says map[string]any) { says["active"] = false },
	} {
		i.says.Store(i.good(change))
		if found, err := i.client(nil).Find(httptest.NewRequest(http.MethodGet, "/", nil), "one", name); !errors.Is(err, introspection.ErrInactive) {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}
