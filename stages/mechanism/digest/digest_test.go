package digest_test

import (
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"keyladder/stages/mechanism/digest"
)

// TestPublished are the hashes that RFC 9530 prints.
func TestPublished(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, content, want string }{
		{"appendix B.1, without a line feed", `{"hello": "world"}`, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"},
		{"appendix B.1", "{\"hello\": \"world\"}\n", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"},
		{"RFC 9421, appendix B.2.4", `{"message": "good dog"}`, "sha-256=:z0bm/K2/kBiAHdTk/FHlB2NyoHqaTdzCA9k+jeJ0ezA=:"},
		{"appendix B.2, no content", "", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"},
	} {
		if got := digest.Of([]byte(test.content)); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
		header := http.Header{}
		digest.Set(header, []byte(test.content))
		if err := digest.Verify(header, []byte(test.content)); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	const content = `{"message": "good dog"}`
	const good = "sha-256=:z0bm/K2/kBiAHdTk/FHlB2NyoHqaTdzCA9k+jeJ0ezA=:"
	const good512 = "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:" // RFC 9421, appendix B.2.4
	empty := sha512.Sum512(nil)
	ofNothing := "sha-512=:" + base64.StdEncoding.EncodeToString(empty[:]) + ":"
	for _, test := range []struct {
		name   string
		fields []string
		want   error
	}{
		{"sha-256", []string{good}, nil},
		{"sha-512", []string{good512}, nil},
		{"both", []string{good + ", " + good512}, nil},
		{"both, in two fields", []string{good512, good}, nil},
		{"with parameters", []string{good + ";a=1"}, nil},
		{"a weak one beside it, whatever it says", []string{"md5=:AAAA:, " + good}, nil},
		{"of another content", []string{digest.Of([]byte("x"))}, digest.ErrMismatch},
		{"one of two is of another content", []string{good + ", " + ofNothing}, digest.ErrMismatch},
		{"the other of two", []string{digest.Of(nil) + ", " + good512}, digest.ErrMismatch},
		{"cut short", []string{"sha-256=:z0bm:"}, digest.ErrMismatch},
		{"no hash", []string{"sha-256=::"}, digest.ErrMismatch},
		{"weak ones alone", []string{"md5=:Qr/mKxDmDFr5N6GrA6U5rA==:, sha=:AAAA:"}, digest.ErrAlgorithm},
		{"nothing known", []string{"blake3=:AAAA:"}, digest.ErrAlgorithm},
		{"an empty field", []string{""}, digest.ErrAlgorithm},
		{"no field", nil, digest.ErrMissing},
		{"text", []string{`sha-256="z0bm/K2/kBiAHdTk/FHlB2NyoHqaTdzCA9k+jeJ0ezA="`}, digest.ErrMalformed},
		{"a list", []string{"sha-256=(:AAAA:)"}, digest.ErrMalformed},
		{"without a value", []string{"sha-256"}, digest.ErrMalformed},
		{"no dictionary", []string{"SHA-256=" + good[8:]}, digest.ErrMalformed},
		{"as Digest had it", []string{"sha-256=z0bm/K2/kBiAHdTk/FHlB2NyoHqaTdzCA9k+jeJ0ezA="}, digest.ErrMalformed},
		{"too long", []string{good + strings.Repeat(", a=1", 250)}, digest.ErrMalformed},
	} {
		if err := digest.Verify(http.Header{digest.Field: test.fields}, []byte(content)); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "")
	f.Add("md5=:AAAA:, sha-512=:AAAA:", "x")
	f.Fuzz(func(t *testing.T, field, content string) {
		header := http.Header{digest.Field: {field}}
		if digest.Verify(header, []byte(content)) != nil {
			return
		}
		if digest.Verify(header, []byte(content+"x")) == nil {
			t.Errorf("%q is good for two contents", field)
		}
	})
}
