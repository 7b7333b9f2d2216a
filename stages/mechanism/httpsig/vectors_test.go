package httpsig_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/httpsig"
)

// testKey is the test-key-ecc-p256 of RFC 9421, appendix B.1.3.
func testKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	d, err := base64.RawURLEncoding.DecodeString("UpuF81l-kOxbjf7T4mNSv0r5tN67Gim7rnf6EFpcYDs")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// published are the messages that RFC 9421 prints with their signatures.
var published = []struct {
	name    string
	message httpsig.Message
	label   string
	input   string
	value   string
	key     func(testing.TB) httpsig.Verifier
	base    string
}{
	{
		name: "appendix B.2.4, a response",
		message: httpsig.Message{Status: 200, Header: http.Header{
			"Date":         {"Tue, 20 Apr 2021 02:07:56 GMT"},
			"Content-Type": {"application/json"}, "Content-Length": {"23"},
			"Content-Digest": {"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"},
		}},
		label: "sig-b24", input: `("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`,
		value: "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
		key:   publicTestKey,
		base: `"@status": 200
"content-type": application/json
"content-digest": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:
"content-length": 23
"@signature-params": ("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`,
	},
	{
		name: "appendix B.2.5, a MAC",
		message: httpsig.Message{Method: "POST", Target: "https://example.com/foo?param=Value&Pet=dog", Header: http.Header{
			"Date": {"Tue, 20 Apr 2021 02:07:55 GMT"}, "Content-Type": {"application/json"}, "Content-Length": {"18"},
		}},
		label: "sig-b25", input: `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
		value: "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
		key: func(t testing.TB) httpsig.Verifier {
			secret, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
			if err != nil {
				t.Fatal(err)
			}
			return httpsig.Shared(secret)
		},
		base: `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@authority": example.com
"content-type": application/json
"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
	},
	{
		name: "section 2.4, a response bound to its request",
		message: httpsig.Message{
			Status: 503,
			Header: http.Header{
				"Content-Type":   {"application/json"},
				"Content-Digest": {"sha-512=:0Y6iCBzGg5rZtoXS95Ijz03mslf6KAMCloESHObfwnHJDbkkWWQz6PhhU9kxsTbARtY2PTBOzq24uJFpHsMuAg==:"},
			},
			Request: &httpsig.Message{Method: "POST", Target: "https://example.com/foo?param=Value&Pet=dog", Header: http.Header{
				"Content-Digest": {"sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
			}},
		},
		label: "reqres", input: `("@status" "content-digest" "content-type" "@authority";req "@method";req "@path";req "content-digest";req);created=1618884479;keyid="test-key-ecc-p256"`,
		value: "dMT/A/76ehrdBTD/2Xx8QuKV6FoyzEP/I9hdzKN8LQJLNgzU4W767HK05rx1i8meNQQgQPgQp8wq2ive3tV5Ag==",
		key:   publicTestKey,
		base: `"@status": 503
"content-digest": sha-512=:0Y6iCBzGg5rZtoXS95Ijz03mslf6KAMCloESHObfwnHJDbkkWWQz6PhhU9kxsTbARtY2PTBOzq24uJFpHsMuAg==:
"content-type": application/json
"@authority";req: example.com
"@method";req: POST
"@path";req: /foo
"content-digest";req: sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:
"@signature-params": ("@status" "content-digest" "content-type" "@authority";req "@method";req "@path";req "content-digest";req);created=1618884479;keyid="test-key-ecc-p256"`,
	},
}

func publicTestKey(t testing.TB) httpsig.Verifier { return httpsig.VerifyWith(publicOf(t, testKey(t))) }

func TestPublishedKey(t *testing.T) {
	t.Parallel()
	if got := publicOf(t, testKey(t)).Thumbprint(); got != keyID {
		t.Errorf("the thumbprint is %s", got)
	}
}

func TestPublished(t *testing.T) {
	t.Parallel()
	for _, test := range published {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, key := test.message, test.key(t)
			m.Header = m.Header.Clone()
			m.Header.Set(httpsig.FieldInput, test.label+"="+test.input)
			m.Header.Set(httpsig.FieldSignature, test.label+"=:"+test.value+":")
			s, err := httpsig.Read(m.Header, test.label)
			if err != nil {
				t.Fatal(err)
			}
			now := s.Parameters.Created.Add(time.Hour)
			base, err := s.Verify(m, key, httpsig.Rules{KeyID: s.Parameters.KeyID}, now)
			if err != nil || string(base) != test.base {
				t.Errorf("got %v and the base\n%s\nwant\n%s", err, base, test.base)
			}
			for i := range []byte(test.base) { // whatever is changed, it is another text
				changed := []byte(test.base)
				changed[i] ^= 1
				if key.Verify(changed, s.Value) {
					t.Fatalf("good with another byte %d", i)
				}
			}

			// The same signer, ours.
			var signer httpsig.Signer = httpsig.SignWith(testKey(t))
			if shared, ok := key.(httpsig.Shared); ok {
				signer = shared
			}
			own := test.message
			own.Header = test.message.Header.Clone()
			again := &httpsig.Signature{Label: s.Label, Components: s.Components, Parameters: s.Parameters}
			if base, err := again.Sign(own, signer); err != nil || string(base) != test.base {
				t.Errorf("signing: got %v and the base\n%s", err, base)
			}
			if got := own.Header.Get(httpsig.FieldInput); got != test.label+"="+test.input {
				t.Errorf("signing: %s", got)
			}
			if _, ok := signer.(httpsig.Shared); ok && !bytes.Equal(again.Value, s.Value) {
				t.Error("signing: another MAC")
			}
			if !key.Verify([]byte(base), again.Value) {
				t.Error("what we sign is not good")
			}
		})
	}
}

// TestDerived are the examples of RFC 9421, section 2.2, and what is between them.
func TestDerived(t *testing.T) {
	t.Parallel()
	request := func(target string) httpsig.Message {
		return httpsig.Message{Method: "POST", Target: target, Header: http.Header{
			"X-Ows-Header": {"   Leading and trailing whitespace.   "}, "X-Obs-Fold": {"Obsolete line folding."},
			"Cache-Control": {"max-age=60", "   must-revalidate"}, "X-Empty-Header": {""},
			"Example-Dict": {" a=1,    b=2;x=1;y=2,   c=(a   b   c), d"},
		}}
	}
	for _, test := range []struct {
		component httpsig.Component
		message   httpsig.Message
		want      string
	}{
		{httpsig.Component{Name: "@method"}, request("https://www.example.com/path?param=value"), `"@method": POST`},
		{httpsig.Component{Name: "@target-uri"}, request("https://www.example.com/path?param=value"), `"@target-uri": https://www.example.com/path?param=value`},
		{httpsig.Component{Name: "@authority"}, request("https://www.example.com/path?param=value"), `"@authority": www.example.com`},
		{httpsig.Component{Name: "@authority"}, request("https://WWW.example.com:443"), `"@authority": www.example.com`},
		{httpsig.Component{Name: "@authority"}, request("https://www.example.com:8447/"), `"@authority": www.example.com:8447`},
		{httpsig.Component{Name: "@scheme"}, request("http://www.example.com/path?param=value"), `"@scheme": http`},
		{httpsig.Component{Name: "@path"}, request("https://www.example.com/path?param=value"), `"@path": /path`},
		{httpsig.Component{Name: "@path"}, request("https://www.example.com?param=value"), `"@path": /`},
		{httpsig.Component{Name: "@query"}, request("https://www.example.com/path?param=value&foo=bar&baz=bat%2Dman"), `"@query": ?param=value&foo=bar&baz=bat%2Dman`},
		{httpsig.Component{Name: "@query"}, request("https://www.example.com/path?queryString"), `"@query": ?queryString`},
		{httpsig.Component{Name: "@query"}, request("https://www.example.com/path?"), `"@query": ?`},
		{httpsig.Component{Name: "@query"}, request("https://www.example.com/path"), `"@query": ?`},
		{httpsig.Component{Name: "x-ows-header"}, request(""), `"x-ows-header": Leading and trailing whitespace.`},
		{httpsig.Component{Name: "cache-control"}, request(""), `"cache-control": max-age=60, must-revalidate`},
		{httpsig.Component{Name: "x-empty-header"}, request(""), `"x-empty-header": `},
		{httpsig.Component{Name: "example-dict", Key: "a"}, request(""), `"example-dict";key="a": 1`},
		{httpsig.Component{Name: "example-dict", Key: "d"}, request(""), `"example-dict";key="d": ?1`},
		{httpsig.Component{Name: "example-dict", Key: "b"}, request(""), `"example-dict";key="b": 2;x=1;y=2`},
		{httpsig.Component{Name: "example-dict", Key: "c"}, request(""), `"example-dict";key="c": (a b c)`},
	} {
		s := &httpsig.Signature{Label: "sig", Components: []httpsig.Component{test.component}}
		base, err := s.Sign(test.message, httpsig.Shared("secret"))
		line, _, _ := strings.Cut(string(base), "\n")
		if err != nil || line != test.want {
			t.Errorf("%s of %s: got %q, %v; want %q", test.component, test.message.Target, line, err, test.want)
		}
	}
}
