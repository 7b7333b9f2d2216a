package mediator_test

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"keyladder/internal/testenv"
)

// family is what came of one sign-in, as its app has it.
type family struct {
	token string // the last refresh token that it received
	key   string // of a request without an answer; empty: there is none
}

// user is somebody who signs in at a provider, refreshes and signs out all the time.
type user struct {
	*phone
	of       *fake
	name     string
	families []*family

	signedIn, renewed, revoked, lost, later int // what was done; answers that did not come; those that say: later
}

// TestKilledAtRandom kills the mediator again and again while users sign in, refresh and sign out, at
// providers that are killed, too: after they have done what they were asked for, or before. A sign-in
// can get lost on its way, but no family, and nobody gets what is another's.
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	kills := 12
	if testing.Short() {
		kills = 2
	}
	w := start(t, nil)
	var all []*user
	one, strange := w.provider("one", nil), w.provider("strange", nil)
	strange.set(func() { strange.forgets = true })
	for _, of := range []*fake{one, strange} {
		of.set(func() { of.lifetime = 2 })
		for _, name := range []string{"alice", "bob", "carol"} {
			u := &user{phone: w.phone(of.described.Name + "-" + name), of: of, name: name}
			u.signsIn()
			all = append(all, u)
		}
		of.set(func() { of.fault = of.dies })
	}
	w.stop(t)
	alone := func() (sessions int) { // of which a provider has taken the request for a copy
		strange.set(func() { sessions = strange.unknown })
		return sessions
	}
	// What has to happen now and then may take more kills than usual.
	killed := 0
	for ; killed < kills || !testing.Short() && alone() == 0 && killed < 5*kills; killed++ {
		kill := w.process(t)
		var wg sync.WaitGroup
		for _, u := range all {
			wg.Go(u.goesOn)
		}
		time.Sleep(time.Duration(300+mathrand.IntN(2500)) * time.Millisecond) // the moment of death
		kill()
		wg.Wait()
		if t.Failed() {
			return
		}
	}
	w.process(t)
	sum := user{}
	for _, u := range all {
		u.of.set(func() { u.of.fault = nil })
		for _, f := range u.families {
			testenv.Within(t, time.Minute, "the family lives", func() bool { return u.renews(f) && f.key == "" || t.Failed() })
		}
		sum.signedIn, sum.renewed, sum.revoked, sum.lost, sum.later = sum.signedIn+u.signedIn, sum.renewed+u.renewed, sum.revoked+u.revoked, sum.lost+u.lost, sum.later+u.later
	}
	t.Logf("%d kills: %d sign-ins, %d tokens renewed, %d families revoked, %d answers lost, %d times later; %d sessions go on alone",
		killed, sum.signedIn, sum.renewed, sum.revoked, sum.lost, sum.later, alone())
	if sum.lost < kills || sum.signedIn <= len(all) || sum.renewed < kills || !testing.Short() && (sum.revoked == 0 || alone() == 0) {
		t.Error("that shows nothing")
	}
}

// dies is a token endpoint whose program is killed now and then, before it has done anything or when all
// but its answer is done.
func (f *fake) dies(w http.ResponseWriter, r *http.Request) {
	switch mathrand.IntN(12) {
	case 0:
		panic(http.ErrAbortHandler)
	case 1:
		f.token(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	f.token(w, r)
}

// goesOn does one thing after the other until the mediator is dead.
func (u *user) goesOn() {
	for alive := true; alive && !u.Failed(); {
		switch what := mathrand.IntN(30); {
		case what == 0 || len(u.families) == 0:
			alive = u.signsIn()
		case what == 1 && len(u.families) > 1:
			alive = u.signsOut()
		default:
			alive = u.renews(u.families[mathrand.IntN(len(u.families))])
		}
	}
}

// sent sends a request; false: there is no answer.
func (u *user) sent(r *http.Request) (said, bool) {
	got, err := u.try(r)
	if err != nil {
		u.lost++
	}
	return got, err == nil
}

// owns looks at tokens, which have to be the user's.
func (u *user) owns(got said) string {
	answer := object(u, got.body)
	if said := claims(u, answer["access_token"]); said["sub"] != u.name || said["device"] != u.device {
		u.Errorf("%s on %s got a token of %v, on %v", u.name, u.device, said["sub"], said["device"])
	}
	text, _ := answer["refresh_token"].(string)
	return text
}

// signsIn signs the user in, as far as that goes; false: the mediator is dead.
func (u *user) signsIn() bool {
	request := u.request(func(form url.Values) { form.Set("provider", u.of.described.Name) })
	got, alive := u.sent(u.form("/par", request))
	if !alive {
		return false
	}
	uri, _ := object(u, got.body)["request_uri"].(string)
	visit := func(address string) (to string, alive bool) {
		response, err := u.agent.Get(address)
		if err != nil {
			u.lost++
			return "", false
		}
		response.Body.Close()
		return response.Header.Get("Location"), true
	}
	page, alive := visit(u.at("/authorize?") + url.Values{"client_id": {app}, "request_uri": {uri}}.Encode())
	if !alive {
		return false
	}
	back, alive := visit(u.of.agree(page, u.name))
	if !alive {
		return false
	}
	answer := testenv.Must[*url.URL](u)(url.Parse(back)).Query()
	if answer.Get("code") == "" {
		if answer.Get("error") != "temporarily_unavailable" { // its provider is dead
			u.Errorf("%s's sign-in leads to %s", u.name, back)
		}
		return true
	}
	got, alive = u.sent(u.form("/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {app}, "code": {answer.Get("code")}, "redirect_uri": {redirectURI}, "code_verifier": {u.verifier},
	}))
	if !alive {
		return false
	}
	if got.status != http.StatusOK {
		u.Errorf("%s's code is refused: %d %s", u.name, got.status, got.body)
		return true
	}
	u.signedIn++
	u.families = append(u.families, &family{token: u.owns(got)})
	return true
}

// renews refreshes a family's tokens; false: the mediator is dead, or has it tried again later.
func (u *user) renews(f *family) bool {
	if f.key == "" {
		f.key = rand.Text()
	}
	r := u.form("/token", refreshing(f.token))
	r.Header.Set("Idempotency-Key", `"`+f.key+`"`)
	got, alive := u.sent(r)
	switch {
	case !alive:
		return false
	case got.status == http.StatusServiceUnavailable:
		u.later++
		time.Sleep(20 * time.Millisecond)
		return true
	case got.status != http.StatusOK:
		u.Errorf("%s's family at %s got lost: %d %s", u.name, u.of.described.Name, got.status, got.body)
		return true
	}
	u.renewed++
	f.token, f.key = u.owns(got), ""
	return true
}

// signsOut gives a family back; false: the mediator is dead. Whether it has done that is not known then,
// and does not matter: asking again is as good.
func (u *user) signsOut() bool {
	f := u.families[0]
	got, alive := u.sent(u.form("/revoke", url.Values{"token": {f.token}, "client_id": {app}}))
	if !alive {
		u.families = u.families[1:] // the app has forgotten it
		return false
	}
	if got.status != http.StatusOK {
		u.Errorf("%s's family is not taken back: %d %s", u.name, got.status, got.body)
	}
	u.families = u.families[1:]
	u.revoked++
	return true
}
