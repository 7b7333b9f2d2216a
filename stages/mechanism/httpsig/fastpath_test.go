package httpsig

import (
	"reflect"
	"strings"
	"testing"
)

const usualInput = `device=("@method" "@target-uri" "authorization");created=1618884473;expires=1618884488;nonce="N";keyid="K";tag="keyladder"`

// TestReadUsual: what signers usually send is read without a parser for all structured fields, and anything
// that is written in another way is left to that, be it good or not.
func TestReadUsual(t *testing.T) {
	t.Parallel()
	const value = `device=:AAAA:`
	for _, input := range []string{usualInput, `device=()`, `device=("a")`, `device=("a");alg="x"`} {
		if _, ok := readUsual(input, value, Label); !ok {
			t.Errorf("not read: %s", input)
		}
	}
	for _, input := range []string{
		"", "device", "device=", "device=(", `device=("a"`, `device=("a" )`, `device=( "a")`, `device=("a"  "b")`, `device=("a""b")`, `device=("a";req)`, `device=(a)`,
		`device=("A")`, `device=("a" "a")`, `device=("@nothing")`, `device=("\"")`, "device=(\"a\tb\")", `other=("a")`, `device =("a")`, ` device=("a")`, `device=("a") `,
		`device=("a"), b=()`, `b=(), device=("a")`, `device=("a");created`, `device=("a");created=`, `device=("a");created=-1`, `device=("a");created=0`, `device=("a");created=01`,
		`device=("a");created=1.5`, `device=("a");created=+1`, `device=("a");created=1234567890123456`, `device=("a");created=1;created=1`, `device=("a");created="1"`,
		`device=("a"); created=1`, `device=("a");created=1;`, `device=("a");created=1,`, `device=("a");nonce=1`, `device=("a");nonce=""`, `device=("a");nonce="\\"`,
		`device=("a");nonce="a`, `device=("a");nonce="ä"`, `device=("a");nonce="a"b`, `device=("a");x="a"`, `device=("a");tag=?1`, `device=("a");tag=:AAAA:`,
	} {
		if _, ok := readUsual(input, value, Label); ok {
			t.Errorf("read: %s", input)
		}
	}
	for _, value := range []string{"", "device", "device=", "device=:", "device=AAAA", "device=:AAA:", "device=:AAB=:", "device=:AAAA", "device=:AAAA:;a", "device=:AAAA:, b=1", " device=:AAAA:", "device=:AA\nAA:", `device="AAAA"`} {
		if _, ok := readUsual(usualInput, value, Label); ok {
			t.Errorf("read: %q", value)
		}
	}
}

// FuzzUsual: what is read so is what the parser for all structured fields makes of it.
func FuzzUsual(f *testing.F) {
	for _, input := range []string{usualInput, `device=()`, `device=("a");alg="x"`, `device=("@status");created=999999999999999`} {
		f.Add(input, `device=:AAAA:`)
	}
	f.Add(`device=("a");expires=1`, `device=::`)
	f.Add(`device=("content-type" "a'b");keyid=" ~"`, `device=:AAA=:`)
	f.Fuzz(func(t *testing.T, input, value string) {
		got, ok := readUsual(input, value, Label)
		if !ok {
			return
		}
		want, err := readAny([]string{input}, []string{value}, Label)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q, %q: got %+v; %+v, %v", input, value, got, want, err)
		}
	})
}

// What is usual here is what this package writes itself.
func TestOwnIsUsual(t *testing.T) {
	t.Parallel()
	m := Message{Method: "GET", Target: "https://localhost/", Header: map[string][]string{"Authorization": {"DPoP a"}, "Client-Integrity-Token": {"b"}}}
	s := &Signature{Label: Label, Components: ofRequest(m.Header, nil), Parameters: Parameters{Nonce: "n", Tag: Tag}}
	if _, err := s.Sign(m, Shared("secret")); err != nil {
		t.Fatal(err)
	}
	input, value := strings.Join(m.Header[FieldInput], ","), strings.Join(m.Header[FieldSignature], ",")
	if _, ok := readUsual(input, value, Label); !ok {
		t.Errorf("not read: %s %s", input, value)
	}
}
