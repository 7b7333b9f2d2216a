package protect

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/mechanism/token"
)

const testSecret = "QZ3M5V7KXO2RCN4A6TJWLBYEHDIUPSFGQ5MXZ"

// whole is an identity that has everything.
func whole() Identity {
	return Identity{
		UserAgent: "HarbourBank/1.0", ClientID: "harbour-mobile", Secret: testSecret,
		Certificate: &tls.Certificate{}, Pins: pin.Set{"sha256/x"},
		Device: Installation{"phone", "guid"}, Session: session.NewKey(), Token: "a.b.c",
	}
}

func apiOf(stage catalog.Stage) API {
	return API{Stage: stage.Slug, Plain: "http://localhost:8080", TLS: "https://localhost:8443", Mediator: "https://localhost:8447"}
}

func lookup(t *testing.T, slug string) catalog.Stage {
	t.Helper()
	stage, ok := catalog.All().Lookup(slug)
	if !ok {
		t.Fatalf("no stage %q", slug)
	}
	return stage
}

func caller(t *testing.T, stage catalog.Stage, identity Identity) *Caller {
	t.Helper()
	c, err := New(stage.Call, apiOf(stage), identity)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func dress(t *testing.T, c *Caller, call Call) *Dressed {
	t.Helper()
	d, err := c.Dress(call)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// arrived is the request as a server gets it.
func arrived(d *Dressed) *http.Request {
	r := httptest.NewRequest(d.Method, d.URL.String(), bytes.NewReader(d.Body))
	r.RequestURI = d.URL.RequestURI()
	r.Header = d.Header
	return r
}

// server has the server's half of Hawk.
func server(policy catalog.Call) *hawk.Verifier {
	return &hawk.Verifier{
		Host: "localhost", Port: 8443, Field: policy.AppProofField(),
		Lookup: func(string) (string, error) { return testSecret, nil },
	}
}

// TestServersUnderstand dresses calls for every stage and reads them with the servers' halves
// of the mechanisms.
func TestServersUnderstand(t *testing.T) {
	t.Parallel()
	content := []byte(`{"amount":1}`)
	for _, stage := range catalog.All().Built() {
		policy, identity := stage.Call, whole()
		c := caller(t, stage, identity)
		calls := map[string]Call{
			"rates":    {Path: "/v1/rates", Public: true},
			"accounts": {Path: "/v1/accounts"},
			"transfer": {Method: http.MethodPost, Path: "/v1/transfers", Body: content},
			"register": RegisterCall("phone"),
		}
		if signIn, err := c.SignInCall("alice", "a:b"); err == nil {
			calls["sign-in"], calls["sign-out"] = signIn, signOut(t, c)
		} else if policy.UserProof != catalog.NoUser && !policy.Grant.InAgent() || !errors.Is(err, ErrNobody) {
			t.Errorf("%s: %v", stage.Slug, err)
		}
		for name, call := range calls {
			t.Run(stage.Slug+"/"+name, func(t *testing.T) {
				t.Parallel()
				d := dress(t, c, call)
				r := arrived(d)
				want := "https://localhost:8443/"
				switch {
				case policy.Transport == catalog.PlainHTTP:
					want = "http://localhost:8080/"
				case policy.Gateway == catalog.ThroughGateway:
					want = "https://localhost:8447/"
				}
				if got := d.URL.String(); !strings.HasPrefix(got, want+stage.Slug+call.Path) {
					t.Errorf("goes to %s", got)
				}
				ext := ""
				switch policy.AppProof {
				case catalog.AppKey:
					key, inURL, err := appkey.FromRequest(r, policy.AppProofField())
					if call.Unproven {
						if key != "" {
							t.Errorf("it proves the app with %q", key)
						}
					} else if wantURL := policy.KeyPlace == catalog.KeyInPublicURLs && name == "rates"; key != identity.ClientID || inURL != wantURL || err != nil {
						t.Errorf("key %q, in the URL: %v, %v", key, inURL, err)
					}
				case catalog.Hawk:
					received, err := server(policy).Verify(r, d.Body, time.Now())
					if err != nil {
						t.Fatal(err)
					}
					ext = received.Ext
				}
				covered := ""
				if policy.Binding == catalog.SessionOfCall || policy.Binding == catalog.TokenOfCall {
					covered, _ = session.Covered(r.Header)
				}
				if ext != covered {
					t.Errorf("signed %q, want %q", ext, covered)
				}
				id, guid, err := deviceid.From(r.Header)
				if registered := policy.Devices == catalog.RegisteredDevices; registered != (err == nil) || registered && (id != "phone" || guid != "guid") {
					t.Errorf("device %q, %q, %v", id, guid, err)
				}
				user, password, _ := session.BasicFrom(r.Header)
				key, _ := session.KeyFrom(r.Header)
				switch signsIn, signedIn := policy.UserProof == catalog.UserSession && call.SignIn != nil, policy.UserProof == catalog.UserSession && !call.Public && call.SignIn == nil; {
				case signsIn != (user == "alice" && password == "a:b"):
					t.Errorf("signs in as %q with %q", user, password)
				case signedIn != (key == identity.Session):
					t.Errorf("the session is there: %v", key != "")
				}
				scheme, shown, _ := token.Shown(r.Header)
				if wanted := policy.UserProof == catalog.AccessToken && !call.Public; wanted != (shown == identity.Token) || !wanted && shown != "" {
					t.Errorf("the access token is %q", shown)
				}
				if bound := policy.Binding == catalog.TokenOfKey; shown != "" && bound != (scheme == token.BoundScheme) {
					t.Errorf("the access token is shown as %s", scheme)
				}
				body, media := d.Body, d.Header.Get("Content-Type")
				wantMedia := JSON
				if call.Media != "" {
					wantMedia = call.Media
				}
				if sealedHere := policy.Bodies == catalog.SealedBodies && len(call.Body) > 0; sealedHere != d.Sealed {
					t.Errorf("sealed: %v", d.Sealed)
				} else if sealedHere {
					keys, _ := sealed.DeriveKeys(testSecret)
					if body, media, err = keys.Requests.Open(d.Body); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(body, call.Body) || len(body) > 0 && media != wantMedia {
					t.Errorf("the body is %s, %s", body, media)
				}
				if !bytes.Equal(d.Content, call.Body) {
					t.Errorf("the content is %s", d.Content)
				}
			})
		}
	}
}

// TestGaps dresses with what is left of an identity.
func TestGaps(t *testing.T) {
	t.Parallel()
	stage := lookup(t, "user-session")
	transfer := Call{Method: http.MethodPost, Path: "/v1/transfers", Body: []byte(`{}`)}
	for _, test := range []struct {
		name     string
		identity Identity
		lacks    []string
		fields   []string // that are there
		sealed   bool
	}{
		{
			name: "nothing", lacks: []string{"a client certificate", "pins of the server's keys", "the app's secret"},
			fields: []string{"Content-Type"},
		},
		{
			name: "no secret", identity: Identity{ClientID: "harbour-mobile", Certificate: &tls.Certificate{}, Pins: pin.Set{"x"}},
			lacks: []string{"the app's secret"}, fields: []string{"Content-Type"},
		},
		{
			name: "a secret without certificate", identity: Identity{ClientID: "harbour-mobile", Secret: testSecret},
			lacks:  []string{"a client certificate", "pins of the server's keys"},
			fields: []string{"App-Authorization", "Content-Type"}, sealed: true,
		},
		{
			name: "a session and no proof", identity: Identity{Session: session.NewKey(), Device: Installation{"phone", "guid"}},
			lacks:  []string{"a client certificate", "pins of the server's keys", "the app's secret"},
			fields: []string{"Authorization", "Content-Type", "Device-Guid", "Device-Id"},
		},
		{
			name: "a stolen proof", identity: Identity{Proof: "Hawk stolen"},
			lacks:  []string{"a client certificate", "pins of the server's keys", "the app's secret"},
			fields: []string{"App-Authorization", "Content-Type"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := caller(t, stage, test.identity)
			if diff := cmp.Diff(test.lacks, c.Lacks()); diff != "" {
				t.Error(diff)
			}
			d := dress(t, c, transfer)
			var fields []string
			for field := range d.Header {
				fields = append(fields, field)
			}
			slices.Sort(fields)
			if diff := cmp.Diff(test.fields, fields); diff != "" {
				t.Error(diff)
			}
			if d.Sealed != test.sealed {
				t.Errorf("sealed: %v", d.Sealed)
			}
			if proof := test.identity.Proof; proof != "" && d.Header.Get("App-Authorization") != proof {
				t.Error("the stolen proof is not what is shown")
			}
		})
	}
	if lacks := caller(t, stage, whole()).Lacks(); len(lacks) > 0 {
		t.Errorf("a whole identity lacks %v", lacks)
	}
	if lacks := caller(t, lookup(t, "app-id"), Identity{}).Lacks(); len(lacks) != 1 {
		t.Errorf("without a client ID: lacks %v", lacks)
	}
}

// TestStolenProof shows a proof in place of the one that could be made.
func TestStolenProof(t *testing.T) {
	t.Parallel()
	for _, stage := range catalog.All().Built() {
		identity := whole()
		identity.Proof = "stolen"
		d := dress(t, caller(t, stage, identity), Call{Path: "/v1/rates", Public: true})
		if got := d.Header.Get(stage.Call.AppProofField()); got != "stolen" || strings.Contains(d.URL.RawQuery, "key") {
			t.Errorf("%s: shows %q at %s", stage.Slug, got, d.URL)
		}
	}
}

// TestSpoil changes a request at each point and sees what notices.
func TestSpoil(t *testing.T) {
	t.Parallel()
	stage := lookup(t, "hidden-secrets")
	c := caller(t, stage, whole())
	transfer := Call{Method: http.MethodPost, Path: "/v1/transfers", Body: []byte(`{"amount":1}`)}
	verify := func(call Call) (opened string, err error) {
		d := dress(t, c, call)
		if _, err := server(stage.Call).Verify(arrived(d), d.Body, time.Now()); err != nil {
			return "", err
		}
		keys, _ := sealed.DeriveKeys(testSecret)
		content, _, err := keys.Requests.Open(d.Body)
		return string(content), err
	}
	for _, test := range []struct {
		name   string
		change func(*Call)
		opened string
		err    error
	}{
		{name: "nothing", change: func(*Call) {}, opened: `{"amount":1}`},
		{name: "before sealing", change: func(c *Call) {
			c.Spoil.BeforeSealing = func(r *Request) { r.Body = []byte(`{"amount":9}`) }
		}, opened: `{"amount":9}`},
		{name: "before signing", change: func(c *Call) {
			c.Spoil.BeforeSigning = func(r *Request) { r.Body = []byte("{}") }
		}, err: sealed.ErrMalformed},
		{name: "not sealed", change: func(c *Call) { c.Clear = true }, err: sealed.ErrMalformed},
		{name: "the body, after signing", change: func(c *Call) {
			c.Spoil.AfterSigning = func(r *Request) { r.Body = append(r.Body, 'A') }
		}, err: hawk.ErrHash},
		{name: "the URL, after signing", change: func(c *Call) {
			c.Spoil.AfterSigning = func(r *Request) { r.URL.RawQuery = "x=1" }
		}, err: hawk.ErrMAC},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			call := transfer
			test.change(&call)
			opened, err := verify(call)
			if opened != test.opened || !errors.Is(err, test.err) {
				t.Errorf("opened %q, %v; want %q, %v", opened, err, test.opened, test.err)
			}
		})
	}
}

// TestDressingChangesNothing makes sure that what the caller hands over stays as it is, as
// prepared calls are used again.
func TestDressingChangesNothing(t *testing.T) {
	t.Parallel()
	c := caller(t, lookup(t, "user-session"), whole())
	target, err := c.URL("/v1/rates?of=EUR")
	if err != nil {
		t.Fatal(err)
	}
	call := Call{URL: target, Header: http.Header{"Accept": {JSON}}, Body: []byte(`{}`)}
	call.Spoil.AfterSigning = func(r *Request) { r.URL.RawQuery = "" }
	d := dress(t, c, call)
	if target.RawQuery == "" || len(call.Header) != 1 || string(call.Body) != `{}` {
		t.Errorf("%s, %v, %s", target, call.Header, call.Body)
	}
	r, err := d.HTTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Traffic-Id", "1")
	if d.Header.Get("Traffic-Id") != "" {
		t.Error("a request is no copy")
	}
}

// TestPolicies has New refuse policies that it can't serve, each with the field's name.
func TestPolicies(t *testing.T) {
	t.Parallel()
	stage := lookup(t, "user-session")
	for _, test := range []struct {
		name   string
		change func(*catalog.Call)
		field  string
	}{
		{"undecided", func(c *catalog.Call) { c.Bodies = "" }, "call.bodies"},
		{"unknown", func(c *catalog.Call) { c.Transport = "carrier-pigeon" }, "call.transport"},
		{"contradictory", func(c *catalog.Call) { c.Transport, c.Pins = catalog.PlainHTTP, catalog.NotPinned }, "call.user_proof"},
	} {
		policy := stage.Call
		test.change(&policy)
		if _, err := New(policy, apiOf(stage), whole()); !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), test.field) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	for _, binding := range []catalog.Binding{catalog.SessionOfApp, catalog.SessionOfDevice} {
		policy := stage.Call
		policy.Binding = binding
		if _, err := New(policy, apiOf(stage), whole()); err != nil {
			t.Error(err)
		}
	}
	// Without a mechanism's file, its values are served by nobody.
	for i, m := range mechanisms {
		others := slices.Delete(slices.Clone(mechanisms), i, i+1)
		missed := false
		for _, stage := range append(catalog.All().Built(), attested(t), lookup(t, "device-bound"), signedCalls(t)) {
			missed = missed || len(unserved(stage.Call, others)) > 0
		}
		if !missed {
			t.Errorf("nobody misses the mechanism that serves %v", m.serves)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	stage := lookup(t, "tls")
	for _, address := range []string{"", "http://localhost:8443", "https://", "localhost:8443", "https://local host"} {
		if _, err := New(stage.Call, API{Stage: stage.Slug, TLS: address}, whole()); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	if _, err := New(lookup(t, "hmac").Call, API{Stage: "hmac", TLS: "https://bank:99999"}, whole()); err == nil {
		t.Error("signed for a port that is none")
	}
}

func TestReadAnswers(t *testing.T) {
	t.Parallel()
	if got, err := ReadInstallation([]byte(`{"guid":"g"}`), "phone"); err != nil || got != (Installation{"phone", "g"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, body := range []string{"", "{}", `{"guid":"g","identifier":"another"}`, `{"guid":""}`} {
		if got, err := ReadInstallation([]byte(body), "phone"); err == nil {
			t.Errorf("%s: %+v", body, got)
		}
	}
	sessions := caller(t, lookup(t, "user-session"), whole())
	key := string(session.NewKey())
	if got, err := sessions.ReadSignIn("alice", []byte(`{"session_key":"`+key+`","user":"alice","idle_seconds":900}`)); err != nil || string(got.Session) != key || got.User != "alice" || got.IdleSeconds != 900 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, body := range []string{"", "{}", `{"session_key":"short","user":"alice"}`, `{"session_key":"` + key + `"}`} {
		if got, err := sessions.ReadSignIn("alice", []byte(body)); err == nil {
			t.Errorf("%s: %+v", body, got)
		}
	}
	for _, user := range []string{"al:ice", "al\x00ice"} {
		if _, err := sessions.SignInCall(user, "password"); err == nil {
			t.Errorf("%q could be sent", user)
		}
	}
}

func signOut(t *testing.T, c *Caller) Call {
	t.Helper()
	call, err := c.SignOutCall()
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// TestTokens gets a token and gives it back, as a token endpoint sees it.
func TestTokens(t *testing.T) {
	t.Parallel()
	c := caller(t, lookup(t, "password-grant"), whole())
	for _, password := range []string{"a:b", "&client_id=x", "ü+ %", ""} {
		call, err := c.SignInCall("alice&co", password)
		if err != nil {
			t.Fatal(err)
		}
		if cap(call.Body) < len(call.Body) || len(call.Body) > 64+3*(len("alice&co")+len(password)+len("harbour-mobile")) {
			t.Errorf("%d bytes in %d: it was put together in several pieces", len(call.Body), cap(call.Body))
		}
		form, err := url.ParseQuery(string(call.Body))
		want := url.Values{"grant_type": {"password"}, "client_id": {"harbour-mobile"}, "username": {"alice&co"}, "password": {password}}
		if diff := cmp.Diff(want, form); err != nil || diff != "" {
			t.Errorf("%v, %s", err, diff)
		}
	}
	form, err := url.ParseQuery(string(signOut(t, c).Body))
	if diff := cmp.Diff(url.Values{"token": {"a.b.c"}, "client_id": {"harbour-mobile"}}, form); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	got, err := c.ReadSignIn("alice", []byte(`{"access_token":"x.y.z","token_type":"bearer","expires_in":300,"scope":"accounts:read"}`))
	if left := time.Until(got.ExpiresAt); err != nil || got.Token != "x.y.z" || got.User != "alice" || got.Scope != "accounts:read" || left > 5*time.Minute || left < 4*time.Minute {
		t.Errorf("%+v, %v", got, err)
	}
	for _, body := range []string{
		"", "{}", `{"access_token":"x.y.z","expires_in":300}`, `{"access_token":"x.y.z","token_type":"DPoP","expires_in":300}`,
		`{"access_token":"x y","token_type":"Bearer","expires_in":300}`, `{"token_type":"Bearer","expires_in":300}`,
		`{"access_token":"x.y.z","token_type":"Bearer"}`, `{"access_token":"x.y.z","token_type":"Bearer","expires_in":-1}`,
	} {
		if got, err := c.ReadSignIn("alice", []byte(body)); err == nil {
			t.Errorf("%s: %#v", body, got)
		}
	}
}

// TestTokenRefusals reads what token endpoints and APIs say that refuse.
func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		answer  Answer
		grant   string
		refused bool
	}{
		{name: "a wrong password", answer: Answer{Status: 400, Media: JSON, Body: []byte(`{"error":"invalid_grant"}`)}, grant: "invalid_grant"},
		{name: "a success", answer: Answer{Status: 200, Media: JSON, Body: []byte(`{"error":"invalid_grant"}`)}},
		{name: "no JSON", answer: Answer{Status: 400, Media: "text/html", Body: []byte(`{"error":"invalid_grant"}`)}},
		{name: "no error", answer: Answer{Status: 400, Media: JSON, Body: []byte(`{}`)}},
		{name: "a token", answer: Answer{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="bank", error="invalid_token"`}}}, refused: true},
		{name: "no token", answer: Answer{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="bank"`}}}},
		{name: "a scope", answer: Answer{Status: 403, Header: http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope"`}}}},
		{name: "an app", answer: Answer{Status: 401, Header: http.Header{"Www-Authenticate": {`key realm="bank"`}}}},
	} {
		grant := ""
		if refused := test.answer.GrantError(); refused != nil {
			grant = refused.Code
		}
		if grant != test.grant || test.answer.TokenRefused() != test.refused {
			t.Errorf("%s: %q, %v", test.name, grant, test.answer.TokenRefused())
		}
	}
}

// TestSecretsAreNotPrinted prints what holds secrets, in every way that logs do.
func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	identity := whole()
	c := caller(t, lookup(t, "user-session"), identity)
	signIn := SignIn{"alice", "battery staple"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		signedIn := SignedIn{User: "alice", Session: identity.Session, Token: "x.y.z"}
		printed := fmt.Sprintf(strings.Repeat(format, 6), c, identity, signIn, &signIn, signedIn, &signedIn)
		for _, secret := range []string{identity.Secret, string(identity.Session), signIn.Password, identity.Token, signedIn.Token} {
			if strings.Contains(printed, secret) {
				t.Errorf("%s shows a secret: %s", format, printed)
			}
		}
	}
}

// TestImports keeps the arrows: mechanisms and the catalog know nobody of ours, and protect
// knows those two.
func TestImports(t *testing.T) {
	t.Parallel()
	output, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(output)) {
		switch {
		case !strings.HasPrefix(path, "keyladder/"), strings.HasPrefix(path, "keyladder/stages/mechanism/"),
			path == "keyladder/stages/catalog", path == "keyladder/stages/protect":
		default:
			t.Errorf("it depends on %s", path)
		}
	}
}
