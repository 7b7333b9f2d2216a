package mediator_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/pkce"
	"keyladder/stages/mechanism/token"
)

// fake is a provider that a test plays, with nobody's page: the test says who has signed in.
type fake struct {
	testing.TB
	described manage.Provider // as the mediator knows it, without the URLs
	server    *httptest.Server

	mu       sync.Mutex
	codes    map[string]asking // not redeemed yet
	tokens   map[string]string // users, by access and refresh token
	keys     map[string]string // answers, by idempotency key
	requests []asked
	lifetime int64 // of access tokens, in seconds
	rotates  bool
	forgets  bool             // it knows no idempotency keys
	unknown  int              // refresh tokens that came and were not good
	fault    http.HandlerFunc // in place of the token endpoint; nil: none
}

// asking is an authorization request that a user has agreed to.
type asking struct{ user, redirectURI, challenge, method, scope string }

// provider starts a provider, which the mediator knows.
func (w *world) provider(name string, change func(*manage.Provider)) *fake {
	w.Helper()
	f := &fake{TB: w, codes: map[string]asking{}, tokens: map[string]string{}, keys: map[string]string{}, lifetime: 3600, rotates: true}
	f.server = httptest.NewServer(f)
	w.Cleanup(f.server.Close)
	base := f.server.URL
	f.described = manage.Provider{
		Name: name, Title: "Sign in at " + name, Issuer: base, AuthorizationURL: base + "/authorize", TokenURL: base + "/token", RevocationURL: base + "/revoke",
		UserinfoURL: base + "/userinfo", IntrospectionURL: base + "/introspect",
		ClientID: "mediator", Secret: "secret of " + name, ClientAuth: manage.SecretBasic, PKCE: catalog.S256PKCE, AnnouncesIss: true, Tokens: catalog.JWTs,
		User: manage.UserInToken, UserClaim: "sub", SameNames: true, Enabled: true,
	}
	if change != nil {
		change(&f.described)
	}
	if _, err := manage.AddProvider(w.Context(), w.manage, f.described); err != nil {
		w.Fatal(err)
	}
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // what can't be read is not there
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, asked{r.URL.Path, r.Header.Clone(), r.PostForm})
	if r.URL.Path == "/userinfo" {
		bearer, _ := token.From(r.Header)
		if f.tokens[bearer] == "" {
			write(w, http.StatusUnauthorized, map[string]any{"error": "invalid_token"})
			return
		}
		write(w, http.StatusOK, map[string]any{f.described.UserClaim: f.tokens[bearer]})
		return
	}
	id, secret, _ := r.BasicAuth()
	if f.described.ClientAuth == manage.SecretPost {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	} else {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	}
	if id != f.described.ClientID || secret != f.described.Secret {
		write(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	switch r.URL.Path {
	case "/token":
		if f.fault != nil {
			f.fault(w, r)
			return
		}
		f.token(w, r)
	case "/introspect":
		user, ok := f.tokens[r.PostForm.Get("token")]
		write(w, http.StatusOK, map[string]any{"active": ok, f.described.UserClaim: user, "client_id": f.described.ClientID})
	case "/revoke":
		delete(f.tokens, r.PostForm.Get("token"))
		w.WriteHeader(http.StatusOK)
	}
}

func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}

func (f *fake) token(w http.ResponseWriter, r *http.Request) {
	user, scope := "", ""
	switch r.PostForm.Get("grant_type") {
	case "authorization_code":
		asked, ok := f.codes[r.PostForm.Get("code")]
		delete(f.codes, r.PostForm.Get("code"))
		good := ok && asked.redirectURI == r.PostForm.Get("redirect_uri")
		if asked.method != "" {
			good = good && pkce.Verify(asked.method, asked.challenge, r.PostForm.Get("code_verifier"))
		}
		if !good {
			write(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
		user, scope = asked.user, asked.scope
	case "refresh_token":
		if answer := f.keys[r.Header.Get("Idempotency-Key")]; answer != "" && !f.forgets {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, answer)
			return
		}
		user = f.tokens[r.PostForm.Get("refresh_token")]
		if user == "" {
			f.unknown++
			write(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
		if f.rotates {
			delete(f.tokens, r.PostForm.Get("refresh_token"))
		}
	}
	access, refresh := "a-"+rand.Text(), "r-"+rand.Text()
	if f.described.Tokens == catalog.JWTs {
		claims, _ := json.Marshal(map[string]any{
			"iss": f.described.Issuer, "client_id": f.described.ClientID, f.described.UserClaim: user, "exp": time.Now().Unix() + f.lifetime, "jti": rand.Text(),
		})
		access = "eyJ9." + base64.RawURLEncoding.EncodeToString(claims) + ".c2ln"
	}
	f.tokens[access] = user
	name := func(field string) string {
		if theirs := f.described.Fields[field]; theirs != "" {
			return theirs
		}
		return field
	}
	answer := map[string]any{name("access_token"): access, name("token_type"): "bearer", name("expires_in"): f.lifetime}
	if scope != "" {
		answer[name("scope")] = scope
	}
	if f.rotates || r.PostForm.Get("grant_type") == "authorization_code" {
		answer[name("refresh_token")] = refresh
		f.tokens[refresh] = user
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		text, _ := json.Marshal(answer)
		f.keys[key] = string(text)
	}
	write(w, http.StatusOK, answer)
}

// agree is what the provider's page leads to when a user has signed in there and agreed: the address
// of the redirect.
func (f *fake) agree(address, user string) string {
	f.Helper()
	u := testenv.Must[*url.URL](f)(url.Parse(address))
	q := u.Query()
	if !strings.HasPrefix(address, f.server.URL+"/authorize?") || q.Get("response_type") != "code" || q.Get("client_id") != f.described.ClientID {
		f.Fatalf("the provider's page is %s", address)
	}
	code := "c-" + rand.Text()
	f.mu.Lock()
	f.codes[code] = asking{user, q.Get("redirect_uri"), q.Get("code_challenge"), q.Get("code_challenge_method"), q.Get("scope")}
	f.mu.Unlock()
	answer := url.Values{"code": {code}, "state": {q.Get("state")}}
	if f.described.AnnouncesIss {
		answer.Set("iss", f.described.Issuer)
	}
	return q.Get("redirect_uri") + "?" + answer.Encode()
}

// asked is how often an endpoint was asked.
func (f *fake) asked(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	count := 0
	for _, r := range f.requests {
		if r.path == path {
			count++
		}
	}
	return count
}

// set changes the provider while it runs.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// phone is an installation of the app, with the user agent of its device.
type phone struct {
	*world
	stage    string
	key      *ecdsa.PrivateKey // of the device, where the stage has tokens bound to one
	nonce    string            // for its proofs
	device   string
	agent    *http.Client
	verifier string
	state    string
}

func (w *world) phone(device string) *phone {
	w.Helper()
	jar := testenv.Must[*cookiejar.Jar](w)(cookiejar.New(nil))
	return &phone{world: w, stage: issuing, device: device, state: "s-" + rand.Text(), agent: &http.Client{
		Transport: w.http.Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// at is the mediator as an issuer.
func (w *world) at(path string) string { return w.base + "/" + issuing + path }

// at is the issuer that the phone's app knows.
func (p *phone) at(path string) string { return p.base + "/" + p.stage + path }

// post sends a form as the app does.
func (p *phone) post(path string, form url.Values) said {
	p.Helper()
	got := p.do(p.form(path, form))
	if nonce := got.header.Get(dpop.NonceField); nonce != "" && p.nonce != nonce {
		p.nonce = nonce
		got = p.do(p.form(path, form))
	}
	return got
}

// form is such a request.
func (p *phone) form(path string, form url.Values) *http.Request {
	p.Helper()
	r := testenv.Must[*http.Request](p)(http.NewRequest(http.MethodPost, p.at(path), strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.key != nil {
		p.prove(r)
		return r
	}
	integrity.Set(r.Header, p.attested(func(_ *token.Key, claims *integrity.Claims) {
		claims.Issuer, claims.Audience, claims.Device = "https://localhost:8445/"+issuing, []string{p.at("/v1"), p.at("")}, p.device
	}))
	return r
}

// request is the authorization request that the app pushes.
func (p *phone) request(change func(url.Values)) url.Values {
	p.verifier = pkce.NewVerifier()
	form := url.Values{
		"response_type": {"code"}, "client_id": {app}, "redirect_uri": {redirectURI}, "scope": {"accounts:read"}, "state": {p.state},
		"code_challenge": {pkce.Challenge(pkce.S256, p.verifier)}, "code_challenge_method": {pkce.S256},
	}
	if change != nil {
		change(form)
	}
	return form
}

// push pushes a request, and returns the address that the user agent opens.
func (p *phone) push(change func(url.Values)) string {
	p.Helper()
	got := p.post("/par", p.request(change))
	if got.status != http.StatusCreated {
		p.Fatalf("pushing: %d %s", got.status, got.body)
	}
	answer := object(p, got.body)
	return p.at("/authorize?") + url.Values{"client_id": {app}, "request_uri": {answer["request_uri"].(string)}}.Encode()
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	var value map[string]any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}

// open opens an address in the user agent.
func (p *phone) open(address string) said {
	p.Helper()
	return p.browse(testenv.Must[*http.Request](p)(http.NewRequest(http.MethodGet, address, nil)))
}

func (p *phone) browse(r *http.Request) said {
	p.Helper()
	response := testenv.Must[*http.Response](p)(p.agent.Do(r))
	defer response.Body.Close()
	return said{response.StatusCode, response.Header, string(testenv.Must[[]byte](p)(io.ReadAll(response.Body)))}
}

// choose sends the form of a provider's button, and returns where that leads.
func (p *phone) choose(page, name string) said {
	p.Helper()
	form := url.Values{"interaction": {hiddenField(p, page, "interaction")}, "provider": {name}}
	r := testenv.Must[*http.Request](p)(http.NewRequest(http.MethodPost, p.at("/provider"), strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return p.browse(r)
}

// hiddenField is the value of a field in a page.
func hiddenField(t testing.TB, page, name string) string {
	t.Helper()
	root := testenv.Must[*html.Node](t)(html.Parse(strings.NewReader(page)))
	for n := range root.Descendants() {
		attributes := map[string]string{}
		for _, a := range n.Attr {
			attributes[a.Key] = a.Val
		}
		if n.Data == "input" && attributes["name"] == name {
			return attributes["value"]
		}
	}
	t.Fatalf("the page has no field %s:\n%s", name, page)
	return ""
}

// leads is where an answer leads, by a redirect of 303.
func leads(t testing.TB, got said) string {
	t.Helper()
	if got.status != http.StatusSeeOther {
		t.Fatalf("it leads nowhere: %d %s", got.status, got.body)
	}
	return got.header.Get("Location")
}

// toProvider is the way from the app to the page of a provider, which the app has chosen.
func (p *phone) toProvider(of *fake) string {
	p.Helper()
	return leads(p, p.open(p.push(func(form url.Values) { form.Set("provider", of.described.Name) })))
}

// back is the mediator's answer, which comes to the app.
func (p *phone) back(got said) url.Values {
	p.Helper()
	address := leads(p, got)
	query, ok := strings.CutPrefix(address, redirectURI+"?")
	if !ok {
		p.Fatalf("it leads to %s", address)
	}
	values := testenv.Must[url.Values](p)(url.ParseQuery(query))
	if values.Get("iss") != p.at("") || values.Get("state") != p.state {
		p.Errorf("the answer is %s", query)
	}
	return values
}

// redeem trades a code, and returns the answer.
func (p *phone) redeem(code string) said {
	p.Helper()
	return p.post("/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {p.verifier},
	})
}

func (p *phone) refresh(text string) said {
	p.Helper()
	return p.post("/token", refreshing(text))
}

func refreshing(text string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "client_id": {app}, "refresh_token": {text}}
}

// signIn is all of it: who the user is at the provider, and what the app gets.
func (p *phone) signIn(of *fake, user string) map[string]any {
	p.Helper()
	answer := p.back(p.open(of.agree(p.toProvider(of), user)))
	got := p.redeem(answer.Get("code"))
	if got.status != http.StatusOK {
		p.Fatalf("redeeming: %d %s", got.status, got.body)
	}
	return object(p, got.body)
}

// claims are what an access token says.
func claims(t testing.TB, text any) map[string]any {
	t.Helper()
	parts := strings.Split(fmt.Sprint(text), ".")
	if len(parts) != 3 {
		t.Fatalf("%v is no JWT", text)
	}
	return object(t, string(testenv.Must[[]byte](t)(base64.RawURLEncoding.DecodeString(parts[1]))))
}
