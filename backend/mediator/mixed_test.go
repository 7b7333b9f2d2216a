package mediator_test

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyladder/backend/mediator"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

var (
	mixedOrders = flag.Int("orders", 10_000, "how many orders of messages are tried")
	mixedSeed   = flag.Uint64("seed", 0, "of the orders; 0: another one each time")
	mixedOrder  = flag.Int("order", 0, "the only one that is tried, by its number; 0: all")
)

// atOnce is how many orders are under way at the same time. What they write is written together, so
// that the test does not wait for the disk at each step.
const atOnce = 32

// TestMixed: two users sign in at two providers, and their messages come in any order, several times,
// not at all, at the other's user agent, at the other provider's redirect URI, with the other's code.
// Whoever gets a token gets their own.
//
// What is mixed is what can be. A reference to a pushed request goes from the app to the user agent
// of its own device, and no message is taken out of the other's connection to a provider before it
// has come. But whatever leads back to an app, everybody can have: it can be a malicious app that
// takes it. So each phone redeems all codes that there are.
func TestMixed(t *testing.T) {
	t.Parallel()
	orders, seed := *mixedOrders, *mixedSeed
	if testing.Short() {
		orders = 500
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // there is much to forget, and little to keep
	w := start(t, func(c *mediator.Config) { c.Log = nil })
	m := &mixing{
		world: w, strict: w.provider("strict", nil),
		weak: w.provider("weak", func(p *manage.Provider) {
			p.ClientAuth, p.PKCE, p.AnnouncesIss, p.Tokens, p.User = manage.SecretPost, catalog.NoPKCE, false, catalog.OpaqueTokens, manage.UserInIntrospection
		}),
	}
	if *mixedOrder > 0 {
		m.order(seed, *mixedOrder)
		return
	}
	var all sync.WaitGroup
	var begun atomic.Int64
	for range atOnce {
		all.Go(func() {
			for number := int(begun.Add(1)); number <= orders && !t.Failed(); number = int(begun.Add(1)) {
				m.order(seed, number)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		t.Fatalf("to see one of them alone: -seed %d -order NUMBER", seed)
	}
	t.Logf("%d orders: %d messages, %d tokens for their users, %d refused", orders, m.messages.Load(), m.given.Load(), m.refused.Load())
	if least := int64(orders / 10); m.given.Load() < least || m.refused.Load() < least {
		t.Errorf("of %d orders %d gave a token, and %d messages were refused", orders, m.given.Load(), m.refused.Load())
	}
}

// mixing is what is sent in all orders.
type mixing struct {
	*world
	strict, weak             *fake
	messages, given, refused atomic.Int64
}

// order is one of them.
type order struct {
	*mixing
	number int
	random *rand.Rand
}

// Errorf says in which order something is wrong.
func (o *order) Errorf(format string, values ...any) {
	o.Helper()
	o.mixing.Errorf("order %d: "+format, append([]any{o.number}, values...)...)
}

// person is one of the users, with a phone.
type person struct {
	name, device, cookie string
	verifiers            []string
}

// page is that of a provider, to which a sign-in has led.
type page struct {
	of      *fake
	address string
	owner   *person // in whose user agent the sign-in was begun
}

// response is a provider's, as it was when it came first.
type response struct {
	page
	address string
	by      *person // who has signed in, in their user agent
}

// order tries one order: some steps at random, each with messages that there are. What is random
// comes of the seed and the number alone.
func (m *mixing) order(seed uint64, number int) {
	(&order{m, number, rand.New(rand.NewPCG(seed, uint64(number)))}).run()
}

func (o *order) run() {
	alice, mallory := &person{name: "alice", device: "d1"}, &person{name: "mallory", device: "d2"}
	people := []*person{alice, mallory}
	var pages []page
	var responses []response
	var codes []string
	for range 8 + o.random.IntN(10) {
		who := pick(o.random, people)
		switch step := o.random.IntN(5); {
		case step == 0 || len(pages) == 0:
			of := pick(o.random, []*fake{o.strict, o.weak})
			pages = append(pages, o.begin(who, of))
		case step == 1: // whoever opens a page there signs in as themselves
			at := pick(o.random, pages)
			responses = append(responses, response{at, at.of.agree(at.address, who.name), who})
			if o.random.IntN(4) > 0 { // and then it comes at once, more often than not
				codes = o.deliver(codes, who, responses[len(responses)-1].address)
			}
		case step == 2 && len(responses) > 0:
			came := pick(o.random, responses)
			if came.by != came.owner && who == came.owner {
				continue // it would be taken out of the other's connection
			}
			codes = o.deliver(codes, who, o.changed(came, pick(o.random, responses)))
		case len(codes) > 0:
			o.redeem(who, pick(o.random, codes))
		}
	}
}

func pick[T any](random *rand.Rand, of []T) T { return of[random.IntN(len(of))] }

// changed is a response, or one that was made of two. The codes of a provider without PKCE can't be
// told apart by anybody, so they are not exchanged for each other; nor are two for one sign-in, of
// which the other user has got one, with state and challenge of the first.
func (o *order) changed(one, other response) string {
	address := testenv.Must[*url.URL](o)(url.Parse(one.address))
	query := address.Query()
	switch o.random.IntN(5) {
	case 0: // to the redirect URI of the other provider
		address.Path = strings.Replace(address.Path, "/callback/"+one.of.described.Name, "/callback/"+other.of.described.Name, 1)
	case 1:
		query.Set("iss", other.of.described.Issuer)
	case 2:
		if elsewhere := one.page == other.page && other.by != other.owner; one.of == o.strict && !elsewhere {
			query.Set("code", codeOf(other))
			if o.random.IntN(2) == 0 {
				address.Path = strings.Replace(address.Path, "/callback/"+one.of.described.Name, "/callback/"+other.of.described.Name, 1)
			}
		}
	case 3:
		query.Del(pick(o.random, []string{"code", "state", "iss"}))
	}
	address.RawQuery = query.Encode()
	return address.String()
}

func codeOf(r response) string {
	_, query, _ := strings.Cut(r.address, "?")
	values, _ := url.ParseQuery(query)
	return values.Get("code")
}

// send sends a request to the mediator.
func (o *order) send(who *person, method, address string, form url.Values) *httptest.ResponseRecorder {
	o.messages.Add(1)
	r := httptest.NewRequest(method, address, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		integrity.Set(r.Header, o.attested(func(_ *token.Key, claims *integrity.Claims) {
			claims.Issuer, claims.Audience, claims.Device = "https://localhost:8445/"+issuing, []string{o.at("")}, who.device
		}))
	} else if who.cookie != "" {
		r.Header.Set("Cookie", who.cookie)
	}
	got := httptest.NewRecorder()
	o.mediator.ServeHTTP(got, r)
	if got.Code >= 500 {
		o.Errorf("%s %s: %d %s", method, address, got.Code, got.Body)
	}
	if set := got.Result().Cookies(); len(set) == 1 {
		who.cookie = set[0].Name + "=" + set[0].Value
	}
	return got
}

// begin pushes a request and opens it, up to the page of a provider.
func (o *order) begin(who *person, of *fake) page {
	p := &phone{world: o.world, stage: issuing, device: who.device, state: "s"}
	form := p.request(func(form url.Values) { form.Set("provider", of.described.Name) })
	who.verifiers = append(who.verifiers, p.verifier)
	pushed := object(o, o.send(who, http.MethodPost, o.at("/par"), form).Body.String())
	uri, _ := pushed["request_uri"].(string)
	address := o.at("/authorize?") + url.Values{"client_id": {app}, "request_uri": {uri}}.Encode()
	got := o.send(who, http.MethodGet, address, nil)
	if o.random.IntN(4) == 0 {
		if again := o.send(who, http.MethodGet, address, nil); again.Code != http.StatusBadRequest {
			o.Errorf("a request_uri came twice: %d", again.Code)
		}
	}
	return page{of, got.Header().Get("Location"), who}
}

// deliver opens a response in a user agent. A code that comes of it everybody has.
func (o *order) deliver(codes []string, who *person, address string) []string {
	got := o.send(who, http.MethodGet, address, nil)
	location := got.Header().Get("Location")
	_, query, ok := strings.Cut(location, redirectURI+"?")
	if values, err := url.ParseQuery(query); ok && err == nil && values.Get("code") != "" {
		return append(codes, values.Get("code"))
	}
	o.refused.Add(1)
	if location != "" && !ok {
		o.Errorf("it leads to %s", location)
	}
	return codes
}

// redeem tries a code with all verifiers that a phone knows.
func (o *order) redeem(who *person, code string) {
	for _, verifier := range who.verifiers {
		got := o.send(who, http.MethodPost, o.at("/token"), url.Values{
			"grant_type": {"authorization_code"}, "client_id": {app}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier},
		})
		if got.Code != http.StatusOK {
			o.refused.Add(1)
			continue
		}
		o.given.Add(1)
		if said := claims(o, object(o, got.Body.String())["access_token"]); said["sub"] != who.name || said["device"] != who.device {
			o.Errorf("%s, on %s, got a token of %v, on %v", who.name, who.device, said["sub"], said["device"])
		}
	}
}
