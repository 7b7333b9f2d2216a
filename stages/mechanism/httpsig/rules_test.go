package httpsig_test

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/httpsig"
)

// TestRead is about the form of signatures: what is refused before anything is verified.
func TestRead(t *testing.T) {
	t.Parallel()
	const value = "sig=:AAAA:"
	for _, test := range []struct {
		name          string
		input, values []string
		want          error
	}{
		{"good", []string{`sig=("@method" "content-type");created=1;expires=2;nonce="n";alg="hmac-sha256";keyid="k";tag="t"`}, []string{value}, nil},
		{"nothing covered", []string{`sig=();created=1`}, []string{value}, nil},
		{"others beside it", []string{`a=("@nonsense"), sig=("@method");created=1, b=7`}, []string{`b="x"`, value}, nil},
		{"in several fields", []string{`a=()`, `sig=("@method");created=1`}, []string{`a=:AAAA:`, value}, nil},

		{"no fields", nil, nil, httpsig.ErrMissing},
		{"another label", []string{`a=("@method");created=1`}, []string{`a=:AAAA:`}, httpsig.ErrMissing},
		{"no Signature", []string{`sig=("@method");created=1`}, nil, httpsig.ErrSyntax},
		{"no Signature-Input", nil, []string{value}, httpsig.ErrSyntax},
		{"Signature is for another label", []string{`sig=("@method");created=1`}, []string{`sig1=:AAAA:`}, httpsig.ErrSyntax},
		{"Signature is text", []string{`sig=("@method");created=1`}, []string{`sig="AAAA"`}, httpsig.ErrSyntax},
		{"Signature is a token", []string{`sig=("@method");created=1`}, []string{`sig=AAAA`}, httpsig.ErrSyntax},
		{"Signature is a list", []string{`sig=("@method");created=1`}, []string{`sig=(:AAAA:)`}, httpsig.ErrSyntax},
		{"Signature is not base64", []string{`sig=("@method");created=1`}, []string{`sig=:A:`}, httpsig.ErrSyntax},
		{"Signature-Input is no list", []string{`sig="@method";created=1`}, []string{value}, httpsig.ErrSyntax},
		{"Signature-Input is no dictionary", []string{`("@method");created=1`}, []string{value}, httpsig.ErrSyntax},
		{"a list that does not end", []string{`sig=("@method"`}, []string{value}, httpsig.ErrSyntax},
		{"a comma at the end", []string{`sig=("@method"),`}, []string{value}, httpsig.ErrSyntax},
		{"too long", []string{`sig=("@method")`, strings.Repeat("a=1, ", 900) + "b=1"}, []string{value}, httpsig.ErrTooLong},

		{"a component that is no string", []string{`sig=(method);created=1`}, []string{value}, httpsig.ErrComponent},
		{"a number", []string{`sig=(1);created=1`}, []string{value}, httpsig.ErrComponent},
		{"an unknown derived component", []string{`sig=("@host");created=1`}, []string{value}, httpsig.ErrComponent},
		{"a derived component in capitals", []string{`sig=("@METHOD");created=1`}, []string{value}, httpsig.ErrComponent},
		{"the parameters, by their name", []string{`sig=("@signature-params");created=1`}, []string{value}, httpsig.ErrComponent},
		{"a field in capitals", []string{`sig=("Content-Type");created=1`}, []string{value}, httpsig.ErrComponent},
		{"no name", []string{`sig=("");created=1`}, []string{value}, httpsig.ErrComponent},
		{"no field's name", []string{`sig=("content type");created=1`}, []string{value}, httpsig.ErrComponent},
		{"an unknown parameter", []string{`sig=("content-type";x);created=1`}, []string{value}, httpsig.ErrComponent},
		{"req with a value", []string{`sig=("content-type";req="a");created=1`}, []string{value}, httpsig.ErrComponent},
		{"req that is false", []string{`sig=("content-type";req=?0);created=1`}, []string{value}, httpsig.ErrComponent},
		{"key without a value", []string{`sig=("content-type";key);created=1`}, []string{value}, httpsig.ErrComponent},
		{"key that is empty", []string{`sig=("content-type";key="");created=1`}, []string{value}, httpsig.ErrComponent},
		{"key of what is no field", []string{`sig=("@method";key="a");created=1`}, []string{value}, httpsig.ErrComponent},

		{"sf", []string{`sig=("content-type";sf);created=1`}, []string{value}, httpsig.ErrUnsupported},
		{"bs", []string{`sig=("content-type";bs);created=1`}, []string{value}, httpsig.ErrUnsupported},
		{"tr", []string{`sig=("content-type";tr);created=1`}, []string{value}, httpsig.ErrUnsupported},
		{"a parameter of the query", []string{`sig=("@query-param";name="a");created=1`}, []string{value}, httpsig.ErrUnsupported},
		{"the same without a name", []string{`sig=("@query-param");created=1`}, []string{value}, httpsig.ErrUnsupported},
		{"the request target", []string{`sig=("@request-target");created=1`}, []string{value}, httpsig.ErrUnsupported},

		{"twice", []string{`sig=("@method" "@path" "@method");created=1`}, []string{value}, httpsig.ErrDuplicate},
		{"twice, with a parameter", []string{`sig=("a";key="x" "a";key="x");created=1`}, []string{value}, httpsig.ErrDuplicate},
		{"twice, in another order", []string{`sig=("a";key="x";req "a";req;key="x");created=1`}, []string{value}, httpsig.ErrDuplicate},
		{"the same name for another value", []string{`sig=("a";key="x" "a";key="y" "a";req "a");created=1`}, []string{value}, nil},

		{"an unknown parameter of the signature", []string{`sig=("@method");created=1;x=1`}, []string{value}, httpsig.ErrParameter},
		{"created is text", []string{`sig=("@method");created="1"`}, []string{value}, httpsig.ErrParameter},
		{"created has a fraction", []string{`sig=("@method");created=1.5`}, []string{value}, httpsig.ErrParameter},
		{"created is a date", []string{`sig=("@method");created=@1`}, []string{value}, httpsig.ErrParameter},
		{"created without a value", []string{`sig=("@method");created`}, []string{value}, httpsig.ErrParameter},
		{"expires is text", []string{`sig=("@method");created=1;expires="1"`}, []string{value}, httpsig.ErrParameter},
		{"nonce is a number", []string{`sig=("@method");created=1;nonce=1`}, []string{value}, httpsig.ErrParameter},
		{"nonce is empty", []string{`sig=("@method");created=1;nonce=""`}, []string{value}, httpsig.ErrParameter},
		{"alg is a token", []string{`sig=("@method");created=1;alg=hmac-sha256`}, []string{value}, httpsig.ErrParameter},
		{"keyid is bytes", []string{`sig=("@method");created=1;keyid=:AAAA:`}, []string{value}, httpsig.ErrParameter},
		{"tag is a token", []string{`sig=("@method");created=1;tag=keyladder`}, []string{value}, httpsig.ErrParameter},
	} {
		_, err := httpsig.Read(http.Header{httpsig.FieldInput: test.input, httpsig.FieldSignature: test.values}, "sig")
		if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if test.want != nil && !errors.Is(err, httpsig.ErrMissing) && !errors.Is(err, httpsig.ErrMalformed) {
			t.Errorf("%s: %v is not about the form", test.name, err)
		}
	}
}

// TestOrder keeps the signer's order of components and of their parameters: it is what was signed.
func TestOrder(t *testing.T) {
	t.Parallel()
	m := httpsig.Message{Status: 200, Header: http.Header{}, Request: &httpsig.Message{Method: "GET", Header: http.Header{"A": {"x=1, y=2"}}}}
	m.Header.Set(httpsig.FieldInput, `sig=("a";key="y";req  "@status"   "a";req;key="x");keyid="k";created=1`)
	m.Header.Set(httpsig.FieldSignature, "sig=:AAAA:")
	s, err := httpsig.Read(m.Header, "sig")
	if err != nil {
		t.Fatal(err)
	}
	const want = `"a";key="y";req: 2
"@status": 200
"a";req;key="x": 1
"@signature-params": ("a";key="y";req "@status" "a";req;key="x");keyid="k";created=1`
	if base, err := s.Base(m); err != nil || string(base) != want {
		t.Errorf("got %v and\n%s\nwant\n%s", err, base, want)
	}
}

// TestBase is about components that a message does not have, or not in a way that can be signed.
func TestBase(t *testing.T) {
	t.Parallel()
	request := httpsig.Message{Method: "GET", Target: "https://api.test/", Header: http.Header{
		"A": {"x=1"}, "Umlaut": {"ä"}, "Line": {"a\nb"}, "Return": {"a\rb"}, "Nul": {"a\x00"}, "Wrong": {"=1"},
	}}
	response := httpsig.Message{Status: 200, Header: http.Header{"B": {"1"}}, Request: &request}
	for _, test := range []struct {
		name      string
		message   httpsig.Message
		component httpsig.Component
		want      error
	}{
		{"a field that is not there", request, httpsig.Component{Name: "b"}, httpsig.ErrAbsent},
		{"a member that is not there", request, httpsig.Component{Name: "a", Key: "y"}, httpsig.ErrAbsent},
		{"a member of what is no dictionary", request, httpsig.Component{Name: "wrong", Key: "y"}, httpsig.ErrComponent},
		{"the status of a request", request, httpsig.Component{Name: "@status"}, httpsig.ErrAbsent},
		{"the method of a response", response, httpsig.Component{Name: "@method"}, httpsig.ErrAbsent},
		{"the target of a response", response, httpsig.Component{Name: "@target-uri"}, httpsig.ErrAbsent},
		{"the path of a response", response, httpsig.Component{Name: "@path"}, httpsig.ErrAbsent},
		{"the request of a request", request, httpsig.Component{Name: "@method", OfRequest: true}, httpsig.ErrAbsent},
		{"the request's field, of a response to an unknown one", httpsig.Message{Status: 200, Header: http.Header{}}, httpsig.Component{Name: "a", OfRequest: true}, httpsig.ErrAbsent},
		{"the request's field in place of the response's", response, httpsig.Component{Name: "a"}, httpsig.ErrAbsent},
		{"the response's field in place of the request's", response, httpsig.Component{Name: "b", OfRequest: true}, httpsig.ErrAbsent},
		{"the status of the request", response, httpsig.Component{Name: "@status", OfRequest: true}, httpsig.ErrAbsent},
		{"a status that is none", httpsig.Message{Status: 7, Header: http.Header{}}, httpsig.Component{Name: "@status"}, httpsig.ErrAbsent},
		{"beyond ASCII", request, httpsig.Component{Name: "umlaut"}, httpsig.ErrComponent},
		{"a line feed", request, httpsig.Component{Name: "line"}, httpsig.ErrComponent},
		{"a carriage return", request, httpsig.Component{Name: "return"}, httpsig.ErrComponent},
		{"a control character", request, httpsig.Component{Name: "nul"}, httpsig.ErrComponent},
		{"a line feed in the method", httpsig.Message{Method: "GET\n\"@path\": /", Header: http.Header{}}, httpsig.Component{Name: "@method"}, httpsig.ErrComponent},
		{"not even a name", request, httpsig.Component{Name: "@x"}, httpsig.ErrComponent},
	} {
		test.message.Header = test.message.Header.Clone()
		s := &httpsig.Signature{Label: "sig", Components: []httpsig.Component{test.component}}
		if _, err := s.Sign(test.message, httpsig.Shared("secret")); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
		if len(test.message.Header.Values(httpsig.FieldSignature)) > 0 {
			t.Errorf("%s: it is signed", test.name)
		}
	}
}

// TestRules breaks one rule at a time.
func TestRules(t *testing.T) {
	t.Parallel()
	noon := time.Unix(1_800_000_000, 0)
	key := httpsig.Shared("secret")
	method := httpsig.Component{Name: "@method"}
	rules := httpsig.Rules{Covered: []httpsig.Component{method}, Tag: "t", KeyID: "k", Nonce: true, Lifetime: 15 * time.Second, Leeway: 5 * time.Second}
	for _, test := range []struct {
		name   string
		change func(*httpsig.Signature)
		rules  func(*httpsig.Rules)
		spoil  func(http.Header)
		at     time.Duration // after noon
		want   error
	}{
		{name: "good"},
		{name: "at its end", at: 15*time.Second - time.Nanosecond},
		{name: "from a clock that is ahead", at: -5 * time.Second},
		{name: "with alg", change: func(s *httpsig.Signature) { s.Parameters.Algorithm = "hmac-sha256" }},
		{name: "more is covered", change: func(s *httpsig.Signature) { s.Components = append(s.Components, httpsig.Component{Name: "@path"}) }},
		{name: "no expiry, where none is asked for", change: func(s *httpsig.Signature) { s.Parameters.Expires = time.Time{} }, rules: func(r *httpsig.Rules) { r.Lifetime = 0 }},

		{name: "no created", change: func(s *httpsig.Signature) { s.Parameters.Created = time.Time{} }, want: httpsig.ErrParameter},
		{name: "no expires", change: func(s *httpsig.Signature) { s.Parameters.Expires = time.Time{} }, want: httpsig.ErrParameter},
		{name: "no nonce", change: func(s *httpsig.Signature) { s.Parameters.Nonce = "" }, want: httpsig.ErrParameter},
		{name: "no tag", change: func(s *httpsig.Signature) { s.Parameters.Tag = "" }, want: httpsig.ErrTag},
		{name: "another tag", change: func(s *httpsig.Signature) { s.Parameters.Tag = "T" }, want: httpsig.ErrTag},
		{name: "another alg", change: func(s *httpsig.Signature) { s.Parameters.Algorithm = "ecdsa-p256-sha256" }, want: httpsig.ErrAlgorithm},
		{name: "no keyid", change: func(s *httpsig.Signature) { s.Parameters.KeyID = "" }, want: httpsig.ErrKey},
		{name: "another keyid", change: func(s *httpsig.Signature) { s.Parameters.KeyID = "K" }, want: httpsig.ErrKey},
		{name: "less is covered", change: func(s *httpsig.Signature) { s.Components = nil }, want: httpsig.ErrUncovered},
		{name: "something else is covered", change: func(s *httpsig.Signature) { s.Components = []httpsig.Component{{Name: "@path"}} }, want: httpsig.ErrUncovered},
		{name: "the value is cut", spoil: func(h http.Header) { h.Set("Signature", "sig=:AAAA:") }, want: httpsig.ErrSignature},
		{name: "a parameter is changed", spoil: replace(`nonce="n"`, `nonce="m"`), want: httpsig.ErrSignature},
		{name: "the order is changed", spoil: replace(`;nonce="n";keyid="k"`, `;keyid="k";nonce="n"`), want: httpsig.ErrSignature},
		{name: "too early", at: -5*time.Second - time.Nanosecond, want: httpsig.ErrNotYet},
		{name: "too late", at: 15 * time.Second, want: httpsig.ErrExpired},
		{name: "good for too long", change: func(s *httpsig.Signature) { s.Parameters.Expires = noon.Add(16 * time.Second) }, want: httpsig.ErrLifetime},
		{name: "over before it began", change: func(s *httpsig.Signature) { s.Parameters.Expires = noon }, want: httpsig.ErrExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := httpsig.Message{Method: "GET", Target: "https://api.test/", Header: http.Header{}}
			s := &httpsig.Signature{Label: "sig", Components: []httpsig.Component{method}, Parameters: httpsig.Parameters{
				Created: noon, Expires: noon.Add(15 * time.Second), Nonce: "n", KeyID: "k", Tag: "t",
			}}
			rules := rules
			rules.Covered = slices.Clone(rules.Covered)
			if test.change != nil {
				test.change(s)
			}
			if test.rules != nil {
				test.rules(&rules)
			}
			if _, err := s.Sign(m, key); err != nil {
				t.Fatal(err)
			}
			if test.spoil != nil {
				test.spoil(m.Header)
			}
			read, err := httpsig.Read(m.Header, "sig")
			if err != nil {
				t.Fatal(err)
			}
			if _, err = read.Verify(m, key, rules, noon.Add(test.at)); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func replace(old, with string) func(http.Header) {
	return func(h http.Header) {
		h.Set(httpsig.FieldInput, strings.Replace(h.Get(httpsig.FieldInput), old, with, 1))
	}
}

// TestOthersStay signs a message that is signed already.
func TestOthersStay(t *testing.T) {
	t.Parallel()
	m := httpsig.Message{Method: "GET", Target: "https://api.test/", Header: http.Header{}}
	first := &httpsig.Signature{Label: "first", Components: []httpsig.Component{{Name: "@method"}}, Parameters: httpsig.Parameters{Created: time.Unix(1, 0)}}
	second := &httpsig.Signature{Label: "second", Components: []httpsig.Component{{Name: "signature", Key: "first"}}, Parameters: httpsig.Parameters{Created: time.Unix(2, 0)}}
	for _, s := range []*httpsig.Signature{first, second} {
		if _, err := s.Sign(m, httpsig.Shared(s.Label)); err != nil {
			t.Fatal(err)
		}
	}
	for _, label := range []string{"first", "second"} {
		read, err := httpsig.Read(m.Header, label)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := read.Verify(m, httpsig.Shared(label), httpsig.Rules{}, time.Unix(3, 0)); err != nil {
			t.Errorf("%s: %v", label, err)
		}
		if _, err := read.Verify(m, httpsig.Shared("x"), httpsig.Rules{}, time.Unix(3, 0)); !errors.Is(err, httpsig.ErrSignature) {
			t.Errorf("%s with another secret: %v", label, err)
		}
	}
}

func TestTargetURI(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ origin, target, want string }{
		{"https://localhost:8447", "/signed-calls/v1/accounts", "https://localhost:8447/signed-calls/v1/accounts"},
		{"https://localhost:8447/", "/a?b=1&a=%2F%2f", "https://localhost:8447/a?b=1&a=%2F%2f"},
		{"HTTPS://API.test:443", "/A?", "https://api.test/A?"},
		{"http://api.test:80", "/", "http://api.test/"},
		{"https://api.test:80", "/", "https://api.test:80/"},
		{"https://[::1]:8447", "/a", "https://[::1]:8447/a"},
		{"https://api.test", "https://evil.test/a?b", "https://api.test/a?b"},
		{"https://api.test", "https://evil.test", "https://api.test/"},
		{"https://api.test", "/a/https://b.test/c", "https://api.test/a/https://b.test/c"},
		{"https://api.test", "/a//b/../c", "https://api.test/a//b/../c"},
		{"https://api.test", "*", ""},
		{"https://api.test", "", ""},
		{"https://api.test", "api.test:443", ""},
		{"https://api.test", "/a b", ""},
		{"https://api.test", "/a\nb", ""},
		{"https://api.test", "/ä", ""},
		{"https://api.test", "/a#b", ""},
		{"https://api.test/base", "/", ""},
		{"https://api.test?", "/", ""},
		{"https://api test", "/", ""},
		{"api.test", "/", ""},
		{"", "/", ""},
	} {
		if got := httpsig.TargetURI(test.origin, test.target); got != test.want {
			t.Errorf("%s, %s: got %q, want %q", test.origin, test.target, got, test.want)
		}
	}
}

// TestSigningRefuses what can't be written in a way that others read as it was meant.
func TestSigningRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		s    httpsig.Signature
		want error
	}{
		{"a component twice", httpsig.Signature{Components: []httpsig.Component{{Name: "@method"}, {Name: "@method"}}}, httpsig.ErrDuplicate},
		{"an unknown component", httpsig.Signature{Components: []httpsig.Component{{Name: "@host"}}}, httpsig.ErrComponent},
		{"a field in capitals", httpsig.Signature{Components: []httpsig.Component{{Name: "A"}}}, httpsig.ErrComponent},
		{"a key with a line feed", httpsig.Signature{Components: []httpsig.Component{{Name: "a", Key: "x\n"}}}, httpsig.ErrComponent},
		{"a nonce with a line feed", httpsig.Signature{Parameters: httpsig.Parameters{Nonce: "a\nb"}}, httpsig.ErrParameter},
		{"a key ID beyond ASCII", httpsig.Signature{Parameters: httpsig.Parameters{KeyID: "ä"}}, httpsig.ErrParameter},
	} {
		m := httpsig.Message{Method: "GET", Target: "https://api.test/", Header: http.Header{"A": {"x=1"}}}
		test.s.Label = "sig"
		if _, err := test.s.Sign(m, httpsig.Shared("secret")); !errors.Is(err, test.want) || len(m.Header) > 1 {
			t.Errorf("%s: got %v, want %v; %v", test.name, err, test.want, m.Header)
		}
	}
	// Quotes and backslashes are written so that they are read again.
	m := httpsig.Message{Method: "GET", Target: "https://api.test/", Header: http.Header{}}
	s := &httpsig.Signature{Label: "sig", Parameters: httpsig.Parameters{Created: time.Unix(1, 0), Nonce: `a"b\c`}}
	base, err := s.Sign(m, httpsig.Shared("secret"))
	if err != nil {
		t.Fatal(err)
	}
	read, err := httpsig.Read(m.Header, "sig")
	if err != nil || read.Parameters.Nonce != `a"b\c` {
		t.Fatalf("got %+v, %v", read, err)
	}
	if again, err := read.Base(m); err != nil || !bytes.Equal(again, base) {
		t.Errorf("got %v and\n%s\nwant\n%s", err, again, base)
	}
}
