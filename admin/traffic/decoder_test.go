package traffic

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"keyladder/internal/pki"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
)

func TestProofsAreFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		head string
		want string // schemes and the names of their attributes
	}{
		"none":               {"GET / HTTP/1.1\nHost: localhost", ""},
		"a key":              {"GET / HTTP/1.1\nAuthorization: key harbour-mobile", "key key"},
		"a key in a URL":     {"GET /v1/rates?key=harbour-mobile HTTP/1.1\nHost: localhost", "key key"},
		"a device":           {"Device-Guid: b\nDevice-Id: a", "device Device-Guid Device-Id"},
		"a certificate":      {"Client-Cert: " + clientcert.Encode(certificate(t)), "X.509 subject issuer good until key"},
		"no certificate":     {"Client-Cert: :AAAA:", ""},
		"Hawk":               {"Authorization: hawk id=\"a\", mac=\"b\"", "hawk id mac"},
		"Hawk with a gap":    {"authorization:  Hawk  id=\"a\"\r\n", "Hawk id"},
		"Hawk without any":   {"Authorization: Hawk nothing", ""},
		"another attribute":  {"Authorization: Hawk id=\"a\", evil=\"<b>\"", "Hawk id evil"},
		"Basic":              {"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic user password"},
		"no base64":          {"Authorization: Basic QWxh*", "Basic credentials"},
		"no colon":           {"Authorization: Basic QWxh", "Basic credentials"},
		"a challenge":        {`WWW-Authenticate: Basic realm="Harbour Bank"`, ""},
		"a session":          {"Authorization: Session abc\nApp-Authorization: Hawk id=\"a\"", "Hawk id Session key"},
		"a token":            {"App-Authorization: key a\nAuthorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IiLCJleHAiOjEsImEiOjF9.c2ln", "key key Bearer sub exp "},
		"no JWT":             {"Authorization: Bearer abc", "Bearer token"},
		"a token's fault":    {`WWW-Authenticate: Bearer realm="Harbour Bank", error="invalid_token"`, "Bearer realm error"},
		"a gateway's word":   {"Forwarded-Caller: eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IiLCJodG0iOiJHRVQifQ.c2ln\r\nHost: b", "forwarded-caller sub htm "},
		"an app's integrity": {"client-integrity-token: eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IiLCJyZWxlYXNlIjoyLCJhIjoxfQ.c2ln\r\nHost: b", "client-integrity sub release "},
		"a bound token":      {"Authorization: DPoP eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IiLCJjbmYiOnsiamt0IjoiayJ9fQ.c2ln", "DPoP sub cnf "},
		"its fault":          {`WWW-Authenticate: DPoP realm="Harbour Bank", error="use_dpop_nonce", algs="ES256"`, "DPoP realm error algs"},
		"a proof":            {"dpop: eyJhbGciOiJub25lIn0.eyJodG0iOiJHRVQiLCJodHUiOiJ1IiwieCI6MX0.c2ln", "dpop htm htu "},
		"a nonce":            {"DPoP-Nonce: abc", "dpop-nonce value"},
		"an attestation":     {"OAuth-Client-Attestation: eyJhbGciOiJub25lIn0.eyJzdWIiOiJhcHAiLCJjbmYiOnsiandrIjoxfX0.c2ln", "oauth-client-attestation sub cnf "},
		"a spoilt proof":     {"OAuth-Client-Attestation-PoP: abc", "oauth-client-attestation-pop token"},
		"a server's word":    {"OAuth-Client-Attestation-Challenge: abc", "oauth-client-attestation-challenge value"},
		"in the middle":      {"X: Authorization: Hawk id=\"a\"", ""},
	} {
		var got []string
		for _, s := range takeApart(text{Head: test.head}, traffic.Request, nil) {
			got = append(got, s.Scheme)
			for _, a := range s.Parts[0].Attributes {
				got = append(got, a.Name)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", name, strings.Join(got, " "), test.want)
		}
	}
}

// What is sent to a token endpoint is laid out, but for its secrets.
func TestForms(t *testing.T) {
	t.Parallel()
	const head = "POST /v1/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for name, test := range map[string]struct{ head, body, want string }{
		"a password":  {head, "grant_type=password&client_id=a&username=bob&password=pa%26ss&scope=x+y", "grant_type=password client_id=a username=bob password=" + mask + " scope=x y"},
		"twice":       {head, "grant_type=password&client_id=a&client_id=b", "grant_type=password client_id=a client_id=b"},
		"given back":  {head, "token=a.b.c&client_id=a", "client_id=a token=a.b.c"},
		"a code":      {head, "grant_type=authorization_code&code=c&redirect_uri=app%3A%2Fcallback", "grant_type=authorization_code code=c redirect_uri=app:/callback"},
		"a renewal":   {head, "grant_type=refresh_token&refresh_token=r&client_id=a&client_secret=s", "grant_type=refresh_token client_id=a client_secret=" + mask + " refresh_token=r"},
		"a page":      {head, "interaction=i&username=bob&password=pass", "username=bob password=" + mask + " interaction=i"},
		"no form":     {"POST /v1/transfers HTTP/1.1\r\nContent-Type: application/json\r\n", `{"grant_type":"x"}`, ""},
		"other forms": {head, "name=bob", ""},
		"broken":      {head, "grant_type=%zz", ""},
	} {
		var got []string
		for _, s := range takeApart(text{Head: test.head, Body: test.body}, traffic.Request, nil) {
			for _, a := range s.Parts[0].Attributes {
				got = append(got, a.Name+"="+a.Value)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// What the user agent carries between an app and the authorization server is laid out, and so
// are a token endpoint's answers.
func TestAuthorizations(t *testing.T) {
	t.Parallel()
	const moved = "HTTP/1.1 303 See Other\r\nLocation: "
	for name, test := range map[string]struct{ head, body, want string }{
		"a request":       {head: "GET /code-grant/authorize?response_type=code&client_id=a&redirect_uri=app%3A%2Fcallback&state=s HTTP/1.1\r\nHost: b", want: "response_type=code client_id=a redirect_uri=app:/callback state=s"},
		"a code":          {head: moved + "app:/callback?code=c&state=s&iss=https%3A%2F%2Fb\r\n", want: "code=c state=s iss=https://b"},
		"a token":         {head: moved + "app:/callback#access_token=t&token_type=Bearer&state=s\r\n", want: "access_token=t token_type=Bearer state=s"},
		"an error":        {head: moved + "app:/callback?error=access_denied&state=s", want: "error=access_denied state=s"},
		"another page":    {head: moved + "/code-grant/consent?interaction=i", want: ""},
		"no redirect":     {head: "HTTP/1.1 200 OK\r\nX: Location: app:/callback?code=c&state=s", want: ""},
		"broken":          {head: moved + "app:/callback?code=%zz&state=s", want: ""},
		"tokens":          {body: `{"access_token":"t","token_type":"Bearer","expires_in":60,"refresh_token":"r"}`, want: "access_token=t token_type=Bearer expires_in=60 refresh_token=r"},
		"none":            {body: `{"error":"invalid_grant","error_description":"It is not good."}`, want: "error=invalid_grant error_description=It is not good."},
		"another answer":  {body: `{"access_token":"t"}`, want: ""},
		"another problem": {body: `{"error":"e"}`, want: ""},
	} {
		var got []string
		for _, s := range takeApart(text{Head: test.head, Body: test.body}, traffic.Response, nil) {
			for _, a := range s.Parts[0].Attributes {
				got = append(got, a.Name+"="+a.Value)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// What an app and its attestation service say to each other is laid out.
func TestAttestations(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.c2ln"
	for name, test := range map[string]struct{ body, want string }{
		"a session is opened": {`{"client_id":"a","release":2,"device":"d"}`, "client_id=a release=2 device=d"},
		"a hash is wanted":    {`{"state":"waiting","expiry":"2026-11-27T10:00:05Z"}`, "state=waiting expiry=2026-11-27T10:00:05Z"},
		"a challenge": {
			`{"state":"waiting","expiry":"2026-11-27T10:00:05Z","nonce":"AAAA","ranges":[{"offset":1,"length":4096},{"offset":9,"length":4}]}`,
			"state=waiting expiry=2026-11-27T10:00:05Z nonce=AAAA ranges=2 of them, 4100 bytes",
		},
		"a hash": {`{"measurement":"ab"}`, "measurement=ab"},
		"an answer": {
			`{"measurement":"ab","answer":"AAAA","findings":{"traced":true,"injected":false,"unlocked":false,"other_signer":true,"intercepted":false}}`,
			"measurement=ab answer=AAAA findings=traced by a debugger, its package is signed by somebody else",
		},
		"nothing was found": {`{"measurement":"ab","answer":"AAAA","findings":{}}`, "measurement=ab answer=AAAA findings=nothing"},
		"a result": {
			`{"state":"complete","expiry":"2026-11-27T10:00:05Z","result":{"token":"` + token + `","expires_in":60,"reference":"Q7"}}`,
			"state=complete expiry=2026-11-27T10:00:05Z token=" + token + " expires_in=60 reference=Q7",
		},
		"something else": {`{"accounts":[{"id":"HB-1001"}]}`, ""},
		"a list":         {`[{"measurement":"ab"}]`, ""},
		"broken":         {`{"measurement":"ab"`, ""},
		"another type":   {`{"measurement":7}`, ""},
	} {
		var got []string
		for _, s := range attestations.Decode(text{Body: test.body}) {
			for _, a := range s.Parts[0].Attributes {
				got = append(got, a.Name+"="+a.Value)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// What a device says is taken apart, down to its certificates and what is inside its claims. What can't
// be read of it is left out, or shown as it is.
func TestEvidenceOfDevices(t *testing.T) {
	t.Parallel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	root, err := pki.NewRoot("a maker")
	must(err)
	plant, err := root.Intermediate("a plant")
	must(err)
	device, key, err := plant.Device("a phone", "AQcH")
	must(err)
	app, err := jwk.OfSigner(key)
	must(err)
	chain := []*x509.Certificate{device, plant.X509()}
	good, err := evidence.Sign(key, chain, evidence.Claims{
		Issued: time.Unix(1_790_000_000, 0), Nonce: make([]byte, 8), Bound: make([]byte, 8), Device: evidence.Device{UEID: []byte{1, 7, 7}, OEMID: evidence.ExamplePEN, Model: "Keel 1"},
		System: evidence.System{Name: "KeelOS", Version: "1", Locked: true, Key: "sha256/s"}, Debug: evidence.DebugDisabled,
		Package: evidence.Package{Name: "com.example.app", Measurement: "ab", Signer: "sha256/p"}, Key: app,
	})
	must(err)
	signed := func(header, claims map[string]any) string {
		text, err := jwk.Sign(key, header, claims)
		must(err)
		return text
	}
	bare := map[string]any{"typ": evidence.Type}
	for name, test := range map[string]struct {
		text string
		want []string // titles of its parts, attributes with values, and some words; none: nothing is laid out
	}{
		"evidence": {good, []string{
			"Header", "alg=ES256", "typ=eat+jwt", "x5c 1=a phone", "x5c 2=a plant", "serial number " + evidence.Serial(device) + ", certified by a plant", "certified by a maker", "for the device AQcH",
			"Claims", "eat_profile=" + evidence.Profile, "iat=1790000000", "eat_nonce=[AAAAAAAAAAA AAAAAAAAAAA]", "ueid=AQcH", "oemid=32473", "hwmodel=S2VlbCAx", ": Keel 1", "swname=KeelOS", "swversion=[1]", "oemboot=false", "dbgstat=disabled",
			"Claims, boot", "locked=true", "key=sha256/s", "Claims, measurements", "name=com.example.app", "sha256=ab", "signer=sha256/p", "Claims, cnf", "jkt=" + app.Thumbprint(),
		}},
		"no certificates":   {signed(map[string]any{"typ": evidence.Type, "x5c": []string{"*", "AAAA"}}, map[string]any{"iat": 1}), []string{"x5c 1=*", "x5c 2=AAAA", "it is not in base64", "it is no certificate"}},
		"other x5c":         {signed(map[string]any{"typ": evidence.Type, "x5c": 7}, map[string]any{"swname": "x"}), []string{"Header", "swname=x"}},
		"other types":       {signed(bare, map[string]any{"swname": 7, "boot": 7, "cnf": 7, "hwmodel": "*", "measurements": []any{[]any{50, "*"}}}), []string{"swname=7", "hwmodel=*"}},
		"other measurement": {signed(bare, map[string]any{"measurements": []any{[]any{50, "AAAA"}}}), []string{"measurements=[[50 AAAA]]"}},
		"no token":          {"abc", nil},
		"no JSON":           {"e30.AAAA.AAAA", nil},
	} {
		body, err := json.Marshal(attestation.Evidence{ByDevice: test.text})
		must(err)
		sections := attestations.Decode(text{Body: string(body)})
		if got := len(sections); got != 1+min(1, len(test.want)) {
			t.Errorf("%s: %d sections", name, got)
			continue
		}
		var got string
		for _, p := range sections[len(sections)-1].Parts {
			got += p.Title + "\n"
			for _, a := range p.Attributes {
				got += a.Name + "=" + a.Value + "\n" + a.Words + "\n"
			}
		}
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, got)
			}
		}
	}
}

// certificate is some certificate in DER.
func certificate(t *testing.T) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "harbour-mobile"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Whether the server has verified what is laid out is said as it is.
func TestItIsSaidWhoVerified(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind    traffic.Kind
		verdict *traffic.Verdict
		want    string
	}{
		"nobody looked":    {traffic.Request, nil, "this page verifies nothing"},
		"it was good":      {traffic.Request, &traffic.Verdict{Allowed: true, Check: catalog.CheckScope}, "✓ verified by the server"},
		"it was not":       {traffic.Request, &traffic.Verdict{Check: catalog.CheckHawk}, "✕ refused by the server's check hawk"},
		"another was not":  {traffic.Request, &traffic.Verdict{Check: catalog.CheckScope}, "by another check: scope"},
		"it is the answer": {traffic.Response, &traffic.Verdict{Allowed: true}, "for the app to verify"},
	} {
		found := takeApart(text{Head: `Authorization: Hawk id="a", mac="b"`}, test.kind, test.verdict)
		if len(found) != 1 || !strings.Contains(found[0].Note, test.want) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nHost: a": "Authorization: Basic " + mask + "\r\nHost: a",
		"authorization:basic QWxh":                                     "authorization:basic " + mask,
		"Proxy-Authorization: Basic QWxh":                              "Proxy-Authorization: Basic " + mask,
		`curl -H "Authorization: Basic QWxh" x`:                        `curl -H "Authorization: Basic ` + mask + `" x`,
		`WWW-Authenticate: Basic realm="Harbour Bank"`:                 `WWW-Authenticate: Basic realm="Harbour Bank"`,
		`Authorization: Hawk id="a"`:                                   `Authorization: Hawk id="a"`,
		"Host: a\r\nCookie: keyladder-admin=5ec7e7; b=c\r\nAccept: d":  "Host: a\r\nCookie: " + mask + "\r\nAccept: d",
		"set-cookie:keyladder-admin=5ec7e7":                            "set-cookie:" + mask,
		"Cookie:\r\nAccept: d":                                         "Cookie:\r\nAccept: d",
		"grant_type=password&password=pa%26ss&username=bob":            "grant_type=password&password=" + mask + "&username=bob",
		"password=secret":                                              "password=" + mask,
		"POST / HTTP/1.1\r\n\r\na=b&client_secret=x":                   "POST / HTTP/1.1\r\n\r\na=b&client_secret=" + mask,
		"the grant_type=password":                                      "the grant_type=password",
	} {
		if got := masked(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestFindSealed(t *testing.T) {
	t.Parallel()
	const header = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0" // {"alg":"dir","enc":"A256GCM"}
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"one":            {header + "..AAAA.BBBB.CCCC", 1},
		"with a key":     {header + ".KKKK.AAAA.BBBB.CCCC", 1},
		"twice the same": {header + "..AAAA.BBBB.CCCC " + header + "..AAAA.BBBB.CCCC", 1},
		"a JWT":          {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.c2ln", 0},
		"no enc":         {"eyJhbGciOiJub25lIn0..AAAA.BBBB.CCCC", 0},
		"too short":      {header + "..AAAA", 0},
		"no JSON":        {"eyJ4..AAAA.BBBB.CCCC", 0},
	} {
		if got := findSealed(test.text); len(got) != test.want {
			t.Errorf("%s: %d", name, len(got))
		}
		if name != "a JWT" && len(findTokens(test.text)) > 0 {
			t.Errorf("%s is taken for a JWT", name)
		}
	}
}

func TestSealedPortion(t *testing.T) {
	t.Parallel()
	const jwe = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.BBBB.CCCC"
	for body, want := range map[string]string{
		jwe: "A JSON Web Encryption",
		`{"currency":"EUR","sealed":"` + jwe + `"}`: "A portion of the body: A JSON Web Encryption",
	} {
		if found := takeApart(text{Body: body}, traffic.Request, nil); len(found) != 1 || found[0].Title != want {
			t.Errorf("%s: %+v", body, found)
		}
	}
}

func FuzzProofs(f *testing.F) {
	f.Add(`Authorization: Hawk id="a", ts="1353832234"`)
	f.Add("App-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
	f.Add("Authorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.c2ln")
	f.Add("grant_type=password&password=x")
	f.Add(`{"evidence":"eyJ0eXAiOiJlYXQrand0IiwieDVjIjpbIkFBQUEiXX0.eyJod21vZGVsIjoiUzJWbGJDQXgiLCJib290Ijp7ImxvY2tlZCI6dHJ1ZX0sIm1lYXN1cmVtZW50cyI6W1s1MCwiZTMwIl1dfQ.c2ln","findings":{}}`)
	f.Add("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.BBBB.CCCC")
	f.Fuzz(func(t *testing.T, content string) {
		start := time.Now()
		if found := takeApart(text{Head: content, Body: content}, traffic.Request, nil); len(found) > len(decoders)*maxSections {
			t.Errorf("%d sections", len(found))
		}
		for _, s := range findSealed(content) {
			if !json.Valid([]byte(s.Parts[0].Text)) {
				t.Errorf("%q is no JSON", s.Parts[0].Text)
			}
		}
		if again := masked(masked(content)); again != masked(content) {
			t.Errorf("masking twice: %q", again)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
