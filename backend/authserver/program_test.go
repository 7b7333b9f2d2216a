package authserver_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
)

// program is a client of OAuth.
type program struct {
	t    testing.TB
	w    *world
	id   string
	http *http.Client
}

func (w *world) program(t testing.TB, id string) *program {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}, MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return &program{t, w, id, &http.Client{Transport: transport, Timeout: time.Minute}}
}

// said is the answer of an endpoint of OAuth.
type said struct {
	Status    int         `json:"-"`
	Header    http.Header `json:"-"`
	Body      string      `json:"-"`
	Error     string      `json:"error"`
	Token     string      `json:"access_token"`
	Type      string      `json:"token_type"`
	ExpiresIn int         `json:"expires_in"`
	Refresh   string      `json:"refresh_token"`
	Scope     string      `json:"scope"`
	Active    bool        `json:"active"`
	Subject   string      `json:"sub"`
	Expires   int64       `json:"exp"`
}

// request is a request of the client, which says who it is in the way that is usual for it.
func (p *program) request(stage, endpoint string, form url.Values) *http.Request {
	p.t.Helper()
	if secret := secrets[p.id]; secret == "" || stage == implicit {
		form.Set("client_id", p.id)
	}
	r := testenv.Must[*http.Request](p.t)(http.NewRequest(http.MethodPost, p.w.issuer(stage)+"/"+endpoint, strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if secret := secrets[p.id]; secret != "" && stage != implicit {
		r.SetBasicAuth(url.QueryEscape(p.id), url.QueryEscape(secret))
	}
	return r
}

// try sends a request. It may be used in goroutines of the test.
func (p *program) try(r *http.Request) (said, error) {
	response, err := p.http.Do(r)
	if err != nil {
		return said{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return said{}, err
	}
	answer := said{Status: response.StatusCode, Header: response.Header, Body: string(body)}
	if len(body) > 0 {
		err = json.Unmarshal(body, &answer)
	}
	return answer, err
}

func (p *program) post(stage, endpoint string, form url.Values) said {
	p.t.Helper()
	return testenv.Must[said](p.t)(p.try(p.request(stage, endpoint, form)))
}

func redemption(code, redirectURI string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}}
}

func (p *program) redeem(stage, code string) said {
	p.t.Helper()
	return p.post(stage, "token", redemption(code, uriOf[p.id]))
}

func (p *program) refresh(token string) said {
	p.t.Helper()
	return p.post(refresh, "token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// tokens are what the client gets for a user.
func (p *program) tokens(stage, user string) said {
	p.t.Helper()
	answer := p.redeem(stage, p.w.code(p.t, stage, user, p.id))
	if answer.Status != http.StatusOK {
		p.t.Fatalf("%s gets no tokens: %d %s", p.id, answer.Status, answer.Body)
	}
	return answer
}

// good says whether an access token is good, as the server's own book has it.
func (w *world) good(stage, text string) bool {
	found, err := w.server.Tokens().Verify(stage, text, w.now())
	return err == nil && !w.server.Tokens().Revoked(found)
}

// refused compares a refusal with how RFC 6749, section 5.2, writes it.
func (s said) refused(t testing.TB, what string, status int, code string) {
	t.Helper()
	if s.Status != status || s.Error != code || s.Token != "" || s.Header.Get("Content-Type") != "application/json" || s.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %d %s %q, want %d %s", what, s.Status, s.Body, s.Header, status, code)
	}
}
