package hawk_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/hawk"
)

var noon = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

const (
	id  = "harbour-mobile"
	key = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"
)

func client() *hawk.Client {
	return &hawk.Client{Credentials: hawk.Credentials{ID: id, Key: key}, Host: "api.harbourbank.test", Port: 8443}
}

var errRevoked = errors.New("revoked")

func verifier() *hawk.Verifier {
	return &hawk.Verifier{
		Host: "api.harbourbank.test", Port: 8443,
		Lookup: func(asked string) (string, error) {
			switch asked {
			case id:
				return key, nil
			case "revoked":
				return key, errRevoked
			case "keyless":
				return "", nil
			}
			return "", errors.New("not registered")
		},
	}
}

const order = `{"from":"HB-1001","to":"HB-2001","amount":100,"currency":"EUR"}`

// transfer is a signed request, as a server receives it.
func transfer(t *testing.T, c *hawk.Client) (*http.Request, *hawk.Sent) {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/hmac/v1/transfers?dry=1", strings.NewReader(order))
	req.Header.Set("Content-Type", "application/json")
	return req, sign(t, c, req, order)
}

func sign(t *testing.T, c *hawk.Client, req *http.Request, body string) *hawk.Sent {
	t.Helper()
	sent, err := c.Sign(req, []byte(body), "", noon)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// replace changes what is in a request's Authorization field.
func replace(t *testing.T, req *http.Request, change func(*hawk.Header)) {
	t.Helper()
	h, err := hawk.Parse(req.Header.Get("Authorization"))
	if err != nil {
		t.Fatal(err)
	}
	change(&h)
	req.Header.Set("Authorization", h.String())
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		client func(*hawk.Client)
		change func(*testing.T, *http.Request)
		server func(*hawk.Verifier)
		body   string // that arrives; empty: order
		late   time.Duration
		want   error
		status int
		wire   string // WWW-Authenticate
	}{
		{name: "as it was signed"},
		{name: "another Host field", change: func(_ *testing.T, r *http.Request) { r.Host = "evil.test:1" }},
		{name: "just not too old", late: hawk.DefaultSkew},
		{name: "just not too new", late: -hawk.DefaultSkew},
		{name: "a parameter of the media type", change: func(_ *testing.T, r *http.Request) {
			r.Header.Set("Content-Type", "Application/JSON; charset=utf-8")
		}},

		{
			name: "no field", change: func(_ *testing.T, r *http.Request) { r.Header.Del("Authorization") },
			want: hawk.ErrMissing, status: 401, wire: "Hawk",
		},
		{
			name: "another field", server: func(v *hawk.Verifier) { v.Field = "App-Authorization" },
			want: hawk.ErrMissing, status: 401, wire: "Hawk",
		},
		{
			name: "another scheme", change: func(_ *testing.T, r *http.Request) { r.Header.Set("Authorization", "key "+id) },
			want: hawk.ErrMissing, status: 401, wire: "Hawk",
		},
		{
			name: "two fields", change: func(_ *testing.T, r *http.Request) {
				r.Header.Add("Authorization", r.Header.Get("Authorization"))
			},
			want: hawk.ErrTwice, status: 400,
		},
		{
			name: "two media types", change: func(_ *testing.T, r *http.Request) { r.Header.Add("Content-Type", "text/plain") },
			want: hawk.ErrTwice, status: 400,
		},
		{
			name: "an attribute from somewhere else", change: func(_ *testing.T, r *http.Request) {
				r.Header.Set("Authorization", r.Header.Get("Authorization")+`, user="alice"`)
			},
			want: hawk.ErrUnknownAttribute, status: 400,
		},
		{
			name: "method in small letters", change: func(_ *testing.T, r *http.Request) { r.Method = "post" },
			want: hawk.ErrRequest, status: 400,
		},
		{
			name: "absolute target of another path", change: func(_ *testing.T, r *http.Request) {
				r.RequestURI = "https://api.harbourbank.test:8443/hidden-secrets/v1/transfers?dry=1"
			},
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "a target that is none", change: func(_ *testing.T, r *http.Request) { r.RequestURI = "api.harbourbank.test:8443" },
			want: hawk.ErrRequest, status: 400,
		},
		{
			name: "unknown client", client: func(c *hawk.Client) { c.Credentials.ID = "nobody" },
			want: hawk.ErrUnknownCredentials, status: 401, wire: `Hawk error="Unknown credentials"`,
		},
		{
			name: "revoked client", client: func(c *hawk.Client) { c.Credentials.ID = "revoked" },
			want: errRevoked, status: 401, wire: `Hawk error="Unknown credentials"`,
		},
		{
			name: "client without a key", client: func(c *hawk.Client) { c.Credentials.ID = "keyless" },
			want: hawk.ErrUnknownCredentials, status: 401, wire: `Hawk error="Unknown credentials"`,
		},
		{
			name: "another key", client: func(c *hawk.Client) { c.Credentials.Key += "x" },
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "signed for another host", client: func(c *hawk.Client) { c.Host = "ops.harbourbank.test" },
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "signed for another port", client: func(c *hawk.Client) { c.Port = 443 },
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "another method", change: func(_ *testing.T, r *http.Request) { r.Method = http.MethodPut },
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "another path", change: func(_ *testing.T, r *http.Request) { r.RequestURI = "/hidden-secrets/v1/transfers?dry=1" },
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "query cut off", change: func(_ *testing.T, r *http.Request) { r.RequestURI = "/hmac/v1/transfers" },
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "question mark appended", change: func(_ *testing.T, r *http.Request) { r.RequestURI += "?" },
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "the path written otherwise", change: func(_ *testing.T, r *http.Request) { r.RequestURI = "/hmac/v1/%74ransfers?dry=1" },
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "fresh time on an old MAC", change: func(t *testing.T, r *http.Request) {
				replace(t, r, func(h *hawk.Header) { h.Timestamp = "1795262460" })
			},
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "fresh nonce on an old MAC", change: func(t *testing.T, r *http.Request) {
				replace(t, r, func(h *hawk.Header) { h.Nonce = "fresh" })
			},
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "ext added", change: func(t *testing.T, r *http.Request) {
				replace(t, r, func(h *hawk.Header) { h.Ext = "admin" })
			},
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "app added", change: func(t *testing.T, r *http.Request) {
				replace(t, r, func(h *hawk.Header) { h.App = "admin" })
			},
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "hash taken away with the body's change", body: "{}", change: func(t *testing.T, r *http.Request) {
				replace(t, r, func(h *hawk.Header) { h.Hash = "" })
			},
			want: hawk.ErrMAC, status: 401, wire: `Hawk error="Bad mac"`,
		},
		{
			name: "another payee", body: strings.Replace(order, "HB-2001", "HB-3001", 1),
			want: hawk.ErrHash, status: 401, wire: `Hawk error="Bad payload hash"`,
		},
		{
			name: "another media type", change: func(_ *testing.T, r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
			want: hawk.ErrHash, status: 401, wire: `Hawk error="Bad payload hash"`,
		},
		{
			name: "too old", late: hawk.DefaultSkew + time.Second,
			want: hawk.ErrStale, status: 401, wire: `Hawk ts="1795262461", tsm="`,
		},
		{
			name: "too new", late: -hawk.DefaultSkew - time.Second,
			want: hawk.ErrStale, status: 401, wire: `Hawk ts="1795262339", tsm="`,
		},
		{name: "no host in the settings", server: func(v *hawk.Verifier) { v.Host = "" }, want: hawk.ErrUndecided, status: 500},
		{name: "no port in the settings", server: func(v *hawk.Verifier) { v.Port = 0 }, want: hawk.ErrUndecided, status: 500},
		{name: "no keys", server: func(v *hawk.Verifier) { v.Lookup = nil }, want: hawk.ErrUndecided, status: 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, v, body := client(), verifier(), order
			if test.client != nil {
				test.client(c)
			}
			if test.server != nil {
				test.server(v)
			}
			if test.body != "" {
				body = test.body
			}
			req, _ := transfer(t, c)
			if test.change != nil {
				test.change(t, req)
			}
			got, err := v.Verify(req, []byte(body), noon.Add(test.late))
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil {
				sent, _ := hawk.Parse(req.Header.Get("Authorization"))
				if got.ID != id || got.Nonce != sent.Nonce || !got.Time.Equal(noon) {
					t.Errorf("received %q, %q, %v; sent %+v", got.ID, got.Nonce, got.Time, sent)
				}
				return
			}
			if got != nil {
				t.Errorf("an error and %v", got)
			}
			status, wire := hawk.Refusal(err)
			if status != test.status || !strings.HasPrefix(wire, test.wire) || wire == "" != (test.wire == "") {
				t.Errorf("answered with %d %q, want %d %q", status, wire, test.status, test.wire)
			}
		})
	}
}

// TestBodyAddedOrTaken is about requests without a hash, and bodies that vanish.
func TestBodyAddedOrTaken(t *testing.T) {
	t.Parallel()
	bodiless := httptest.NewRequest(http.MethodDelete, "/hmac/v1/transfers", nil)
	sign(t, client(), bodiless, "")
	if _, err := verifier().Verify(bodiless, nil, noon); err != nil {
		t.Errorf("no body: %v", err)
	}
	if _, err := verifier().Verify(bodiless, []byte("{}"), noon); !errors.Is(err, hawk.ErrMissingHash) {
		t.Errorf("a body added: got %v, want %v", err, hawk.ErrMissingHash)
	} else if _, wire := hawk.Refusal(err); wire != `Hawk error="Missing required payload hash"` {
		t.Errorf("answered with %s", wire)
	}
	req, _ := transfer(t, client())
	if _, err := verifier().Verify(req, nil, noon); !errors.Is(err, hawk.ErrHash) {
		t.Errorf("the body taken away: got %v, want %v", err, hawk.ErrHash)
	}
}

// TestNonceSeenBefore is what a caller that remembers nonces answers.
func TestNonceSeenBefore(t *testing.T) {
	t.Parallel()
	if status, wire := hawk.Refusal(hawk.ErrNonce); status != 401 || wire != `Hawk error="Invalid nonce"` {
		t.Errorf("answered with %d %q", status, wire)
	}
}

// TestStale is the refusal of a good request by a caller that is stricter about time.
func TestStale(t *testing.T) {
	t.Parallel()
	c := client()
	req, _ := transfer(t, c)
	received, err := verifier().Verify(req, []byte(order), noon)
	if err != nil {
		t.Fatal(err)
	}
	status, wire := hawk.Refusal(received.Stale(noon.Add(7 * time.Second)))
	if err := c.Learn(status, http.Header{"Www-Authenticate": {wire}}, noon); err != nil || c.Offset() != 7*time.Second {
		t.Errorf("%d %q: learned %v, %v", status, wire, c.Offset(), err)
	}
}

// TestRequestTarget sends requests through net/http, both ends of it, so that what is
// signed is what stands on the request line.
func TestRequestTarget(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := verifier().Verify(r, nil, noon); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, r.RequestURI)
	}))
	t.Cleanup(server.Close)
	for _, target := range []string{"", "/", "/a", "/a?", "/a?b=2&a=1&a=0", "/%2F%2f/%7Euser", "/a?x=%20+%zz", "//a//", "/ä?ö", "/a?b#c", "/a;b?c;d"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+target, nil)
			if err != nil {
				t.Fatal(err)
			}
			sign(t, client(), req, "")
			resp, err := server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%q: %s", target, resp.Status)
			}
		})
	}
}

// TestKeysAreNotPrinted looks for the key in what a careless log would hold.
func TestKeysAreNotPrinted(t *testing.T) {
	t.Parallel()
	c := client()
	req, sent := transfer(t, c)
	received, err := verifier().Verify(req, []byte(order), noon)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, value := range []any{c.Credentials, &c.Credentials, struct{ C hawk.Credentials }{c.Credentials}, sent, received} {
		fmt.Fprintf(&out, "%v %+v %s\n", value, value, value)
	}
	fmt.Fprintf(&out, "%#v", c.Credentials)
	if strings.Contains(out.String(), key) {
		t.Errorf("the key is in %s", &out)
	}
}

func TestRefusalOfOtherErrors(t *testing.T) {
	t.Parallel()
	if status, wire := hawk.Refusal(errors.New("disk on fire")); status != http.StatusInternalServerError || wire != "" {
		t.Errorf("got %d %q", status, wire)
	}
}

// TestAbsoluteForm sends what is signed as proxies are sent it. Servers have to take that, too.
func TestAbsoluteForm(t *testing.T) {
	t.Parallel()
	for sent, signed := range map[string]string{
		"https://api.harbourbank.test:8443/hmac/v1/rates?b=1&a=://": "/hmac/v1/rates?b=1&a=://",
		"HTTP://somewhere/hmac/v1/rates":                            "/hmac/v1/rates",
		"http://somewhere":                                          "/",
		"http://somewhere?a=/":                                      "/?a=/",
		"/v1/rates?next=http://somewhere/else":                      "/v1/rates?next=http://somewhere/else",
		"/http://somewhere/else":                                    "/http://somewhere/else",
	} {
		r := httptest.NewRequest(http.MethodGet, signed, nil)
		sign(t, client(), r, "")
		r.RequestURI = sent
		if _, err := verifier().Verify(r, nil, noon); err != nil {
			t.Errorf("%s, signed as %s: %v", sent, signed, err)
		}
	}
}
