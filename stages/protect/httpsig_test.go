package protect

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/jwk"
)

// signedCalls is the first stage whose calls are signed with a device's key.
func signedCalls(t *testing.T) catalog.Stage {
	t.Helper()
	for _, stage := range catalog.All() {
		if stage.Call.Sender == catalog.SignedMessages {
			return stage
		}
	}
	t.Fatal("there is no stage whose calls are signed")
	return catalog.Stage{}
}

func newKey(t *testing.T) (*ecdsa.PrivateKey, jwk.Key) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwk.OfSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

// signing is a caller with a key, and the API whose answers it believes.
type signing struct {
	*Caller
	device jwk.Key
	api    *ecdsa.PrivateKey
}

func newSigning(t *testing.T, change func(*Identity, *API)) signing {
	t.Helper()
	stage := signedCalls(t)
	identity, api := whole(), apiOf(stage)
	key, device := newKey(t)
	server, public := newKey(t)
	_, other := newKey(t)
	identity.Key, identity.Integrity, api.Answers = key, "integrity", []jwk.Key{other, public} // one takes the place of another
	if change != nil {
		change(&identity, &api)
	}
	c, err := New(stage.Call, api, identity)
	if err != nil {
		t.Fatal(err)
	}
	return signing{c, device, server}
}

// TestSignedMessages is about requests: what they cover, and which are signed.
func TestSignedMessages(t *testing.T) {
	t.Parallel()
	c := newSigning(t, nil)
	for name, test := range map[string]struct {
		call   Call
		base   []string
		spoken bool // the API is; else a proxy
	}{
		"a transfer": {Call{Method: http.MethodPost, Path: "/v1/transfers", Body: []byte(`{"amount":1}`)}, []string{
			`"@method": POST`, `"@target-uri": https://localhost:8447/signed-calls/v1/transfers`, `"content-type": application/json`,
			`"content-digest": sha-256=:`, `"authorization": DPoP a.b.c`, `"client-integrity-token": integrity`,
		}, true},
		"public data": {Call{Path: "/v1/rates?currency=EUR", Public: true}, []string{
			`"@method": GET`, `"@target-uri": https://localhost:8447/signed-calls/v1/rates?currency=EUR`, `"client-integrity-token": integrity`,
		}, true},
		"to a proxy with another name": {Call{URL: &url.URL{Scheme: "https", Host: "127.0.0.1:9999", Path: "/signed-calls/v1/accounts"}}, []string{
			`"@method": GET`, `"@target-uri": https://localhost:8447/signed-calls/v1/accounts`, `"authorization": DPoP a.b.c`, `"client-integrity-token": integrity`,
		}, false},
	} {
		d := dress(t, c.Caller, test.call)
		lines := strings.Split(string(d.Base), "\n")
		if len(lines) != len(test.base)+1 || !slices.EqualFunc(lines[:len(test.base)], test.base, strings.HasPrefix) {
			t.Errorf("%s: the base is\n%s", name, d.Base)
		}
		r := arrived(d)
		m := httpsig.Message{Method: r.Method, Target: httpsig.TargetURI("https://localhost:8447", r.RequestURI), Header: r.Header}
		if _, _, err := httpsig.VerifyRequest(m, d.Body, c.device, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !d.Verifies() {
			t.Errorf("%s: any answer will do", name)
		}
	}
	base, err := c.mediator()
	if err != nil {
		t.Fatal(err)
	}
	token, err := url.Parse(base + "/token")
	if err != nil {
		t.Fatal(err)
	}
	d := dress(t, c.Caller, Call{Method: http.MethodPost, URL: token, Body: []byte("a=b"), Media: FormMedia, Public: true})
	if d.Base != nil || d.Header.Get("Signature") != "" || d.Header.Get(integrity.Field) == "" {
		t.Errorf("an endpoint of OAuth gets %v", d.Header)
	}
	spoiled := dress(t, c.Caller, Call{Path: "/v1/accounts", Spoil: Spoiler{BeforeSigning: func(r *Request) { r.Header.Set("Authorization", "DPoP another") }}})
	if !strings.Contains(string(spoiled.Base), `"authorization": DPoP another`) {
		t.Errorf("what was spoiled before signing is not signed:\n%s", spoiled.Base)
	}

	without := newSigning(t, func(i *Identity, _ *API) { i.Key = nil })
	if lacks := without.Lacks(); !slices.Contains(lacks, DeviceKey) || slices.Contains(c.Lacks(), DeviceKey) {
		t.Errorf("without a key it lacks %v, and with one %v", lacks, c.Lacks())
	}
	if d := dress(t, without.Caller, Call{Path: "/v1/accounts"}); d.Base != nil || d.Verifies() {
		t.Error("a call is signed without a key")
	}
}

// TestSignedAnswers is about answers: which are believed.
func TestSignedAnswers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status    int
		unsigned  bool
		by        func(*testing.T, signing) *ecdsa.PrivateKey
		api       func(*Identity, *API)
		spoil     func(*http.Response, *[]byte)
		at        time.Duration // from now
		refused   bool
		authentic bool
		told      bool
	}{
		"a success":                  {status: 200, authentic: true},
		"a refusal":                  {status: 403, authentic: true},
		"a refusal of the call":      {status: 401, authentic: true},
		"a success, not signed":      {status: 200, unsigned: true, refused: true},
		"a refusal, not signed":      {status: 401, unsigned: true},
		"a fault, not signed":        {status: 502, unsigned: true},
		"by another key":             {status: 200, by: func(t *testing.T, _ signing) *ecdsa.PrivateKey { key, _ := newKey(t); return key }, refused: true},
		"a refusal by another key":   {status: 403, by: func(t *testing.T, _ signing) *ecdsa.PrivateKey { key, _ := newKey(t); return key }, refused: true},
		"the API's key is not known": {status: 200, api: func(_ *Identity, a *API) { a.Answers = nil }, refused: true},
		"another status":             {status: 403, spoil: func(r *http.Response, _ *[]byte) { r.StatusCode = 200 }, refused: true},
		"another body":               {status: 200, spoil: func(_ *http.Response, body *[]byte) { *body = []byte(`{"balance":0}`) }, refused: true},
		"an old clock":               {status: 401, at: -time.Hour, authentic: true, told: true},
		"a fast clock":               {status: 401, at: time.Hour, authentic: true, told: true},
		"a success says no time":     {status: 200, at: time.Hour, authentic: true},
		"an unsigned time":           {status: 401, at: time.Hour, unsigned: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newSigning(t, test.api)
			d := dress(t, c.Caller, Call{Path: "/v1/accounts"})
			r := arrived(d)
			m := httpsig.Message{Method: r.Method, Target: httpsig.TargetURI("https://localhost:8447", r.RequestURI), Header: r.Header}
			received, _, err := httpsig.VerifyRequest(m, d.Body, c.device, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			body := []byte(`{"balance":100}`)
			response := &http.Response{StatusCode: test.status, Header: http.Header{"Content-Type": {"application/json"}}}
			key := c.api
			if test.by != nil {
				key = test.by(t, c)
			}
			if !test.unsigned {
				by, err := httpsig.NewResponder(key)
				if err != nil {
					t.Fatal(err)
				}
				if err := received.SignResponse(test.status, response.Header, body, by, time.Now().Add(test.at)); err != nil {
					t.Fatal(err)
				}
			}
			if test.spoil != nil {
				test.spoil(response, &body)
			}
			answer, err := d.Check(response, body)
			check, reason := Refused(err)
			if (check == catalog.CheckAnswerSigned) != test.refused || (err != nil) != test.refused || test.refused && reason == "" {
				t.Errorf("got %v: refused by %q", err, check)
			}
			if answer.Authentic != test.authentic || answer.ToldTime != test.told {
				t.Errorf("got %+v", answer)
			}
			want := time.Now()
			if test.told {
				want = want.Add(test.at)
			}
			if off := c.now().Sub(want).Abs(); off > 5*time.Second {
				t.Errorf("the clock is off by %s", off)
			}
		})
	}
}

func TestAnswerKeys(t *testing.T) {
	t.Parallel()
	c := newSigning(t, nil)
	call, err := c.AnswerKeysCall()
	if err != nil {
		t.Fatal(err)
	}
	if d := dress(t, c.Caller, call); d.URL.String() != "https://localhost:8447/signed-calls/jwks" || d.Header.Get("Authorization")+d.Header.Get(integrity.Field)+d.Header.Get("Signature") != "" {
		t.Errorf("%s with %v", d.URL, d.Header)
	}
	_, one := newKey(t)
	_, two := newKey(t)
	text := func(key jwk.Key, more string) string {
		data, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(string(data), "}") + more + "}"
	}
	for name, test := range map[string]struct {
		body string
		want []jwk.Key
	}{
		"one":                 {`{"keys":[` + text(one, "") + `]}`, []jwk.Key{one}},
		"two":                 {`{"keys":[` + text(one, `,"use":"sig","kid":"1"`) + "," + text(two, "") + `]}`, []jwk.Key{one, two}},
		"others beside it":    {`{"keys":[{"kty":"RSA"},` + text(two, `,"use":"enc"`) + `,1,` + text(one, "") + `]}`, []jwk.Key{one}},
		"none for this":       {`{"keys":[` + text(one, `,"use":"enc"`) + `]}`, nil},
		"a private one":       {`{"keys":[` + text(one, `,"d":"AA"`) + `]}`, nil},
		"none":                {`{"keys":[]}`, nil},
		"no set":              {`{}`, nil},
		"something else":      {`[]`, nil},
		"a page in its place": {`<html>`, nil},
	} {
		got, err := ReadAnswerKeys([]byte(test.body))
		if !slices.Equal(got, test.want) || (err == nil) != (test.want != nil) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
