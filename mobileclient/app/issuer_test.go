package main

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"keyladder/internal/pki"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab/testbank"
)

// issuer is an authorization server in front of the bank's: what the app asks of one, and no
// more. The access tokens that it gives are the bank's own.
type issuer struct {
	t      *testing.T
	bank   *bench
	grant  catalog.Grants
	client *http.Client

	mu       sync.Mutex
	life     int                                        // of access tokens as the app is told, in seconds
	redirect func(url.Values)                           // changes what the redirect carries; nil: nothing
	token    func(http.ResponseWriter, url.Values) bool // answers token requests instead; nil: nobody does
	spoiling int                                        // access tokens that the bank does not know
	losing   int                                        // answers of the token endpoint that get lost
	codes    map[string]string                          // users, by code
	families map[string]*family                         // by their newest refresh token
	requests []url.Values                               // of the token endpoint: forms, with the fields of the head
	revoked  []url.Values
}

// family is the refresh tokens of one sign-in.
type family struct {
	user, before, key string // the one before the newest, and the key of that renewal
}

// clientSecret has all that has to be encoded in Basic authentication.
const clientSecret = "s3cret+/ %:\u00fc"

// issuing has the bank's app sign in its users on a page of an issuer.
func issuing(t *testing.T, grant catalog.Grants) (*bench, *issuer) {
	t.Helper()
	processAlone(t)
	return issuingAt(t, testbank.Start(t, testbank.Options{}), grant, clientSecret)
}

// issuingAt is the same at a bank of the test's own.
func issuingAt(t *testing.T, bank *testbank.Bank, grant catalog.Grants, secret string) (*bench, *issuer) {
	t.Helper()
	b := newBenchAt(t, bank, func(b *bench) {
		b.settings.AuthServer, b.settings.ClientSecret = b.bank.TLS, secret
		b.policy = func(slug string, as catalog.Call) catalog.Call {
			if slug == tokenStage {
				stage, _ := bank.Stages.Lookup(slug)
				as = stage.Call
				as.Grant = grant
				if grant != catalog.ImplicitGrant {
					as.ClientAuth = catalog.ClientSecret
				}
				if grant == catalog.CodeAndRefresh {
					as.UserKey = catalog.UserKeyInStorage
				}
			}
			return as
		}
	})
	roots, err := pki.Pool(b.roots)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{
		t: t, bank: b, grant: grant, life: 3600, codes: map[string]string{}, families: map[string]*family{},
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
	}
	t.Cleanup(i.client.CloseIdleConnections)
	b.bank.Answer(i.serve)
	return b, i
}

func (i *issuer) url() string { return i.bank.bank.TLS + "/" + tokenStage }

func (i *issuer) serve(w http.ResponseWriter, r *http.Request, body []byte) bool {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		form = url.Values{}
	}
	switch strings.TrimPrefix(r.URL.Path, "/"+tokenStage) {
	case "/authorize":
		i.authorize(w, r, form)
	case "/token":
		for _, name := range []string{"Authorization", "Idempotency-Key", "User-Agent"} {
			form[name] = r.Header.Values(name)
		}
		i.give(w, form)
	case "/revoke":
		form["Authorization"] = r.Header.Values("Authorization")
		i.mu.Lock()
		i.revoked = append(i.revoked, form)
		i.mu.Unlock()
		w.WriteHeader(http.StatusOK)
	default:
		return false
	}
	return true
}

// authorize shows the page, and leads back to the app.
func (i *issuer) authorize(w http.ResponseWriter, r *http.Request, form url.Values) {
	asked := r.URL.Query()
	user := form.Get("user")
	if r.Method != http.MethodPost || form.Get("password") != i.bank.bank.Passwords[user] && form.Get("answer") != "no" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>Sign in</title><form method=post><input name=user><input type=password name=password><button name=answer value=yes>Sign in</button><button name=answer value=no>Cancel</button></form>`)
		return
	}
	answer := url.Values{"state": asked["state"], "iss": {i.url()}}
	kind := "?"
	switch {
	case form.Get("answer") == "no":
		answer.Set("error", "access_denied")
	case asked.Get("response_type") == "code":
		code := rand.Text()
		i.mu.Lock()
		i.codes[code] = user
		i.mu.Unlock()
		answer.Set("code", code)
	}
	if asked.Get("response_type") == "token" {
		kind = "#"
		for name, value := range i.access(user) {
			answer.Set(name, fmt.Sprint(value))
		}
	}
	i.mu.Lock()
	if i.redirect != nil {
		i.redirect(answer)
	}
	i.mu.Unlock()
	w.Header().Set("Location", asked.Get("redirect_uri")+kind+answer.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

// access is an access token as it is given.
func (i *issuer) access(user string) map[string]any {
	response, err := i.client.PostForm(i.url()+"/v1/token", url.Values{
		"grant_type": {"password"}, "client_id": {clientID}, "username": {user}, "password": {i.bank.bank.Passwords[user]},
	})
	if err != nil {
		i.t.Error(err)
		return nil
	}
	defer response.Body.Close()
	var given map[string]any
	if err := json.NewDecoder(response.Body).Decode(&given); err != nil || given["access_token"] == nil {
		i.t.Errorf("the bank gives %v, %v", given, err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	given["expires_in"] = i.life
	return given
}

// give answers a token request.
func (i *issuer) give(w http.ResponseWriter, form url.Values) {
	i.mu.Lock()
	i.requests = append(i.requests, form)
	instead := i.token
	i.mu.Unlock()
	if instead != nil && instead(w, form) {
		return
	}
	user, next := i.redeem(form)
	w.Header().Set("Content-Type", "application/json")
	if user == "" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	given := i.access(user)
	if i.grant == catalog.CodeAndRefresh {
		given["refresh_token"] = next
	}
	i.mu.Lock()
	if i.spoiling > 0 {
		given["access_token"] = "made.up.token"
	}
	i.spoiling--
	lost := i.losing > 0
	i.losing--
	i.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler)
	}
	if err := json.NewEncoder(w).Encode(given); err != nil {
		i.t.Error(err)
	}
}

// redeem takes a code or a refresh token, and makes the next of its family.
func (i *issuer) redeem(form url.Values) (user, next string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	next = rand.Text()
	if form.Get("grant_type") == "authorization_code" {
		user = i.codes[form.Get("code")]
		delete(i.codes, form.Get("code"))
		i.families[next] = &family{user: user}
		return user, next
	}
	token, key := form.Get("refresh_token"), strings.Trim(form.Get("Idempotency-Key"), `"`)
	if f := i.families[token]; f != nil {
		delete(i.families, token)
		f.before, f.key = token, key
		i.families[next] = f
		return f.user, next
	}
	for newest, f := range i.families {
		if f.before == token && f.key == key && key != "" {
			return f.user, newest
		}
		if f.before == token { // reuse: the family dies
			delete(i.families, newest)
		}
	}
	return "", ""
}

// change changes how it answers.
func (i *issuer) change(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// asked are the token requests of a kind so far.
func (i *issuer) asked(grant string) []url.Values {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(i.requests), func(form url.Values) bool { return form.Get("grant_type") != grant })
}

// newest are the refresh tokens that are good.
func (i *issuer) newest() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Collect(maps.Keys(i.families))
}

// enter signs somebody in, in the app or on a page.
func (b *bench) enter(t *testing.T, app *device.App, user string) device.Screen {
	t.Helper()
	return shown(t)(person.People(b.bank.Passwords).Named(user).SignIn(t.Context(), b.device, app))
}
