package httpsig_test

import (
	"net/http"
	"strings"
	"testing"

	"keyladder/stages/mechanism/httpsig"
)

// FuzzRead reads whatever strangers send. What can be read is written in one way, and read to the same
// again.
func FuzzRead(f *testing.F) {
	for _, p := range published {
		f.Add("device="+p.input, "device=:"+p.value+":")
	}
	f.Add(`device=("a";req;key="b" "@query-param";name="x" "c";sf;bs;tr);created=-1;x=?0;y=@1;z=%"a"`, `device=:AAAA:;a=1, b=(1 "2")`)
	f.Add(`a=1, device=();tag="\"\\"`, `device=::`)
	f.Fuzz(func(t *testing.T, input, value string) {
		m := httpsig.Message{Status: 200, Header: http.Header{"A": {"b=1"}, "Content-Type": {"a/b"}}, Request: &httpsig.Message{
			Method: "GET", Target: target, Header: http.Header{"Signature": {value}},
		}}
		m.Header[httpsig.FieldInput], m.Header[httpsig.FieldSignature] = []string{input}, []string{value}
		s, err := httpsig.Read(m.Header, httpsig.Label)
		if err != nil {
			if s != nil && s.Value != nil && err == httpsig.ErrMissing {
				t.Error("a signature that is missing has a value")
			}
			return
		}
		made, err := s.Base(m)
		if err != nil {
			return
		}
		base := string(made)
		if lines := strings.Count(base, "\n"); lines != len(s.Components) {
			t.Fatalf("the base has %d line feeds for %d components:\n%s", lines, len(s.Components), base)
		}
		_, list, _ := strings.Cut(base, `"@signature-params": `)
		m.Header[httpsig.FieldInput] = []string{httpsig.Label + "=" + list}
		again, err := httpsig.Read(m.Header, httpsig.Label)
		if err != nil {
			t.Fatalf("%v: %s", err, list)
		}
		if second, err := again.Base(m); err != nil || string(second) != base {
			t.Errorf("got %v and\n%s\nafter\n%s", err, second, base)
		}
	})
}

// FuzzVerifyRequest sends a signed request on with something changed. If it is still good, what is
// covered is what it was.
func FuzzVerifyRequest(f *testing.F) {
	f.Add("POST", target, "DPoP access", "integrity", order, "", "")
	f.Add("post", target+"?", "DPoP access ", "integrity\n", "{}", `, a=()`, `, a=:AAAA:`)
	f.Add("POST", target, "", "", order, `;created=1`, `;a`)
	f.Fuzz(func(t *testing.T, method, target2, authorization, integrity, body, input, value string) {
		m := transfer()
		signed(t, m, order)
		changed := httpsig.Message{Method: method, Target: target2, Header: m.Header.Clone()}
		changed.Header.Set("Authorization", authorization)
		changed.Header.Set("Client-Integrity-Token", integrity)
		changed.Header.Set(httpsig.FieldInput, m.Header.Get(httpsig.FieldInput)+input)
		changed.Header.Set(httpsig.FieldSignature, m.Header.Get(httpsig.FieldSignature)+value)
		_, _, err := httpsig.VerifyRequest(changed, []byte(body), publicOf(t, testKey(t)), noon)
		same := method == m.Method && target2 == m.Target && body == order &&
			strings.Trim(authorization, " \t") == "DPoP access" && strings.Trim(integrity, " \t") == "integrity"
		if err == nil && !same {
			t.Errorf("good: %q %q %q %q %q", method, target2, authorization, integrity, body)
		}
		if err != nil && same && input == "" && value == "" {
			t.Error(err)
		}
	})
}

func FuzzTargetURI(f *testing.F) {
	f.Add("https://localhost:8447", "/a?b")
	f.Add("https://a:443", "http://b?c#d")
	f.Fuzz(func(t *testing.T, origin, requestTarget string) {
		made := httpsig.TargetURI(origin, requestTarget)
		if made == "" {
			return
		}
		if again := httpsig.TargetURI(origin, made); again != made {
			t.Errorf("%q, %q: %q becomes %q", origin, requestTarget, made, again)
		}
	})
}
