package httpsig_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/digest"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/mechanism/jwk"
)

const (
	order  = `{"to":"GB33BUKB20201555555555","amount":2500}`
	target = "https://localhost:8447/signed-calls/v1/transfers"
	keyID  = "ydQXMtvbsOsZyFir-Y7A8t7fKEM1gbKPvyFkdpu4fvI" // the thumbprint of testKey
)

var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// transfer is a request with all that the profile covers.
func transfer() httpsig.Message {
	return httpsig.Message{Method: http.MethodPost, Target: target, Header: http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"DPoP access"}, "Client-Integrity-Token": {"integrity"}, "User-Agent": {"HarbourBank/3.0"},
	}}
}

func signed(t testing.TB, m httpsig.Message, body string) *httpsig.Sent {
	t.Helper()
	sent, err := httpsig.SignRequest(m, []byte(body), testKey(t), noon)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func publicOf(t testing.TB, key *ecdsa.PrivateKey) jwk.Key {
	t.Helper()
	public, err := jwk.Of(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestRequest(t *testing.T) {
	t.Parallel()
	m := transfer()
	sent := signed(t, m, order)
	received, base, err := httpsig.VerifyRequest(m, []byte(order), publicOf(t, testKey(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(base, sent.Base) || received.KeyID != keyID || received.Nonce == "" || !received.Created.Equal(noon) {
		t.Errorf("got %+v and the base\n%s\nsigned was\n%s", received, base, sent.Base)
	}
	const covered = `"@method": POST
"@target-uri": https://localhost:8447/signed-calls/v1/transfers
"content-type": application/json
"content-digest": sha-256=`
	if !strings.HasPrefix(string(base), covered) || !strings.Contains(string(base), "\n\"authorization\": DPoP access\n\"client-integrity-token\": integrity\n\"@signature-params\": ") {
		t.Errorf("the base is\n%s", base)
	}
	again := signed(t, transfer(), order)
	if bytes.Equal(again.Base, sent.Base) {
		t.Error("two requests have the same nonce")
	}
}

// TestChangedRequests changes one thing on the way.
func TestChangedRequests(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, values ...string) func(*httpsig.Message) {
		return func(m *httpsig.Message) { m.Header[http.CanonicalHeaderKey(name)] = values }
	}
	for _, test := range []struct {
		name    string
		unsaid  bool // the request is one without body and user
		change  func(*httpsig.Message)
		body    *string
		key     *ecdsa.PrivateKey
		noKey   bool
		at      time.Duration
		want    error
		returns bool // the request, all the same
	}{
		{name: "nothing"},
		{name: "no body, no user", unsaid: true},
		{name: "a field that is not covered", change: set("User-Agent", "another")},

		{name: "the method", change: func(m *httpsig.Message) { m.Method = http.MethodPut }, want: httpsig.ErrSignature},
		{name: "the method, in small letters", change: func(m *httpsig.Message) { m.Method = "post" }, want: httpsig.ErrSignature},
		{name: "the path", change: func(m *httpsig.Message) { m.Target += "/1" }, want: httpsig.ErrSignature},
		{name: "a query", change: func(m *httpsig.Message) { m.Target += "?" }, want: httpsig.ErrSignature},
		{name: "the host", change: func(m *httpsig.Message) { m.Target = strings.Replace(m.Target, "localhost", "evil", 1) }, want: httpsig.ErrSignature},
		{name: "no host", change: func(m *httpsig.Message) { m.Target = "" }, want: httpsig.ErrAbsent},
		{name: "the access token", change: set("Authorization", "DPoP another"), want: httpsig.ErrSignature},
		{name: "the access token's scheme", change: set("Authorization", "Bearer access"), want: httpsig.ErrSignature},
		{name: "no access token", change: set("Authorization"), want: httpsig.ErrAbsent},
		{name: "another access token beside it", change: set("Authorization", "DPoP access", "DPoP another"), want: httpsig.ErrSignature},
		{name: "an access token, added", unsaid: true, change: set("Authorization", "DPoP access"), want: httpsig.ErrUncovered},
		{name: "the integrity token", change: set("Client-Integrity-Token", "another"), want: httpsig.ErrSignature},
		{name: "no integrity token", change: set("Client-Integrity-Token"), want: httpsig.ErrAbsent},
		{name: "the media type", change: set("Content-Type", "text/plain"), want: httpsig.ErrSignature},
		{name: "the body", body: new(`{"to":"GB29NWBK60161331926819","amount":2500}`), want: digest.ErrMismatch},
		{name: "the body and its digest", body: new(`{}`), change: set("Content-Digest", digest.Of([]byte("{}"))), want: httpsig.ErrSignature},
		{name: "no body", body: new(""), want: digest.ErrMismatch},
		{name: "no body, no digest", body: new(""), change: set("Content-Digest"), want: httpsig.ErrAbsent},
		{name: "no digest", change: set("Content-Digest"), want: httpsig.ErrAbsent},
		{name: "a body, added", unsaid: true, body: new(order), want: httpsig.ErrUncovered},
		{name: "a body with its digest, added", unsaid: true, body: new(order), change: set("Content-Digest", digest.Of([]byte(order))), want: httpsig.ErrUncovered},
		{name: "no signature", change: func(m *httpsig.Message) { m.Header.Del("Signature"); m.Header.Del("Signature-Input") }, want: httpsig.ErrMissing},
		{name: "the signature under another label", change: func(m *httpsig.Message) {
			set("Signature", strings.Replace(m.Header.Get("Signature"), "device=", "other=", 1))(m)
			set("Signature-Input", strings.Replace(m.Header.Get("Signature-Input"), "device=", "other=", 1))(m)
		}, want: httpsig.ErrMissing},
		{name: "less is covered", change: func(m *httpsig.Message) { replace(` "authorization"`, "")(m.Header) }, want: httpsig.ErrUncovered},
		{name: "less is covered, and not there", change: func(m *httpsig.Message) {
			replace(` "authorization"`, "")(m.Header)
			m.Header.Del("Authorization")
		}, want: httpsig.ErrSignature},
		{name: "another nonce", change: func(m *httpsig.Message) { replace(`nonce="`, `nonce="x`)(m.Header) }, want: httpsig.ErrSignature},
		{name: "it says that another key has signed", key: other, want: httpsig.ErrKey},
		{name: "another key has signed", key: other, change: func(m *httpsig.Message) {
			replace(keyID, publicOf(t, other).Thumbprint())(m.Header)
		}, want: httpsig.ErrSignature},
		{name: "there is no key", noKey: true, want: httpsig.ErrKey},

		{name: "at its end", at: 15*time.Second - 1},
		{name: "afterwards", at: 15 * time.Second, want: httpsig.ErrExpired, returns: true},
		{name: "from a clock that is ahead", at: -5 * time.Second},
		{name: "from one that is far ahead", at: -5*time.Second - 1, want: httpsig.ErrNotYet, returns: true},
		{name: "afterwards, and the body", at: time.Minute, body: new("{}"), want: digest.ErrMismatch},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, body := transfer(), order
			if test.unsaid {
				m, body = httpsig.Message{Method: "GET", Target: target, Header: http.Header{"Client-Integrity-Token": {"integrity"}}}, ""
			}
			signed(t, m, body)
			if test.change != nil {
				test.change(&m)
			}
			if test.body != nil {
				body = *test.body
			}
			key := publicOf(t, testKey(t))
			if test.key != nil {
				key = publicOf(t, test.key)
			}
			if test.noKey {
				key = jwk.Key{}
			}
			received, _, err := httpsig.VerifyRequest(m, []byte(body), key, noon.Add(test.at))
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if (received != nil) != (test.want == nil || test.returns) {
				t.Errorf("the request returned is %v", received)
			}
			if test.returns != errors.Is(err, httpsig.ErrTime) {
				t.Errorf("%v is about the time", err)
			}
		})
	}
}

func TestResponse(t *testing.T) {
	t.Parallel()
	server, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const content = `{"id":"1"}`
	m := transfer()
	sent := signed(t, m, order)
	received, _, err := httpsig.VerifyRequest(m, []byte(order), publicOf(t, testKey(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	answer := func(content string, change func(http.Header)) http.Header {
		header := http.Header{"Content-Type": {"application/json"}}
		if change != nil {
			change(header)
		}
		if err := received.SignResponse(201, header, []byte(content), responder(t, server), noon.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		return header
	}
	another := signed(t, transfer(), order) // the same request, signed once more
	read := func(name string) string { return answer(content, nil).Get(name) }
	for _, test := range []struct {
		name   string
		sent   *httpsig.Sent
		status int
		header http.Header
		change func(http.Header)
		body   string
		key    *ecdsa.PrivateKey
		noKey  bool
		want   error
	}{
		{name: "good"},
		{name: "no content, as of HEAD", header: answer("", nil), body: "-"},
		{name: "no media type", header: answer("", func(h http.Header) { h.Del("Content-Type") }), body: "-"},
		{name: "a field that is not covered", change: func(h http.Header) { h.Set("Server", "x") }},

		{name: "the status", status: 200, want: httpsig.ErrSignature},
		{name: "the body", body: `{"id":"2"}`, want: digest.ErrMismatch},
		{name: "no body", body: "-", want: digest.ErrMismatch},
		{name: "the body and its digest", body: "{}", change: func(h http.Header) { digest.Set(h, []byte("{}")) }, want: httpsig.ErrSignature},
		{name: "no digest", change: func(h http.Header) { h.Del("Content-Digest") }, want: httpsig.ErrAbsent},
		{name: "the media type", change: func(h http.Header) { h.Set("Content-Type", "text/html") }, want: httpsig.ErrSignature},
		{name: "a media type, added", header: answer("", func(h http.Header) { h.Del("Content-Type") }), body: "-", change: func(h http.Header) { h.Set("Content-Type", "text/html") }, want: httpsig.ErrUncovered},
		{name: "to the same request, signed once more", sent: another, want: httpsig.ErrSignature},
		{name: "no signature", change: func(h http.Header) { h.Del("Signature"); h.Del("Signature-Input") }, want: httpsig.ErrMissing},
		{name: "less is covered", change: replace(` "signature";req;key="device"`, ""), want: httpsig.ErrUncovered},
		{name: "the response's status alone", change: replace(` "@method";req "@target-uri";req`, ""), want: httpsig.ErrUncovered},
		{name: "another tag", change: replace(`tag="keyladder"`, `tag="x"`), want: httpsig.ErrTag},
		{name: "without created", change: replace(`;created=`, `;expires=`), want: httpsig.ErrParameter},
		{name: "it says that another key has signed", key: testKey(t), want: httpsig.ErrKey},
		{name: "another key has signed", key: testKey(t), change: replace(publicOf(t, server).Thumbprint(), keyID), want: httpsig.ErrSignature},
		{name: "no key", noKey: true, want: httpsig.ErrKey},
		{name: "the request's own signature, sent back", header: func() http.Header {
			h := http.Header{"Content-Digest": {read("Content-Digest")}}
			h.Set("Signature", strings.Replace(m.Header.Get("Signature"), "device=", "api=", 1))
			h.Set("Signature-Input", strings.Replace(m.Header.Get("Signature-Input"), "device=", "api=", 1))
			return h
		}(), key: testKey(t), want: httpsig.ErrUncovered},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, status, header, body, key := sent, 201, test.header, content, publicOf(t, server)
			if test.sent != nil {
				s = test.sent
			}
			if test.status != 0 {
				status = test.status
			}
			if header == nil {
				header = answer(content, nil)
			}
			if test.change != nil {
				test.change(header)
			}
			if test.body != "" {
				body = strings.TrimPrefix(test.body, "-")
			}
			if test.key != nil {
				key = publicOf(t, test.key)
			}
			if test.noKey {
				key = jwk.Key{}
			}
			created, err := s.CheckResponse(status, header, []byte(body), key)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if errors.Is(err, httpsig.ErrResponse) != (test.want != nil) {
				t.Errorf("%v: is it about the response?", err)
			}
			if err == nil && !created.Equal(noon.Add(time.Second)) {
				t.Errorf("created is %s", created)
			}
		})
	}
}

// TestAccept says what SignRequest covers.
func TestAccept(t *testing.T) {
	t.Parallel()
	m := transfer()
	const want = `device=("@method" "@target-uri" "content-type" "content-digest" "authorization" "client-integrity-token");created;expires;tag="keyladder"`
	if got := httpsig.Accept(m.Header, []byte(order)); got != want {
		t.Errorf("got %s", got)
	}
	signed(t, m, order)
	list, _, _ := strings.Cut(want, ")")
	if !strings.HasPrefix(m.Header.Get(httpsig.FieldInput), list+")") {
		t.Errorf("signed is %s", m.Header.Get(httpsig.FieldInput))
	}
	if got := httpsig.Accept(http.Header{}, nil); got != `device=("@method" "@target-uri");created;expires;tag="keyladder"` {
		t.Errorf("of a request without anything: %s", got)
	}
}

// strangeKey is a key in hardware that does not work as it should.
type strangeKey struct {
	crypto.Signer
}

func (strangeKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("locked")
}

func TestStrangeKeys(t *testing.T) {
	t.Parallel()
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"none": nil, "P-384": large, "one that refuses": strangeKey{testKey(t)}} {
		m := transfer()
		if _, err := httpsig.SignRequest(m, nil, key, noon); err == nil {
			t.Errorf("%s: it signs", name)
		}
		if len(m.Header.Values("Signature")) > 0 {
			t.Errorf("%s: the request is signed", name)
		}
	}
	if _, err := httpsig.Shared("").Sign(nil); err == nil || httpsig.Shared(nil).Verify(nil, nil) {
		t.Error("without a secret there are MACs")
	}
}

func responder(t testing.TB, key crypto.Signer) *httpsig.Responder {
	t.Helper()
	by, err := httpsig.NewResponder(key)
	if err != nil {
		t.Fatal(err)
	}
	return by
}
