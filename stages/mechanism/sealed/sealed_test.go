package sealed_test

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"pgregory.net/rapid"

	"keyladder/stages/mechanism/sealed"
)

const (
	secret = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"
	order  = `{"from":"HB-1001","to":"HB-2001","amount":100,"currency":"EUR"}`
	ours   = `{"alg":"dir","cty":"json","enc":"A256GCM"}`
)

func keys(t testing.TB, secret string) sealed.Keys {
	t.Helper()
	k, err := sealed.DeriveKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func seal(t testing.TB, k sealed.Key, content, contentType string) []byte {
	t.Helper()
	body, err := k.Seal([]byte(content), contentType)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// raw is the request key as RFC 5869 defines it, made without the package.
func raw() []byte {
	extract := hmac.New(sha256.New, make([]byte, 32))
	extract.Write([]byte(secret))
	expand := hmac.New(sha256.New, extract.Sum(nil))
	expand.Write([]byte("keyladder sealed body 1: request\x01"))
	return expand.Sum(nil)
}

// byHand seals with crypto/cipher under any header, as an attacker with the key could.
func byHand(t testing.TB, header string, content []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(raw())
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	iv := "a fixed IV!!"
	both := gcm.Seal(nil, []byte(iv), content, []byte(b64(header)))
	cut := len(both) - 16
	return []byte(strings.Join([]string{b64(header), "", b64(iv), b64(string(both[:cut])), b64(string(both[cut:]))}, "."))
}

func TestBothHalves(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, content, contentType, header string }{
		{"JSON", order, "application/json", ours},
		{"JSON with a parameter", order, "application/json; charset=utf-8", `{"alg":"dir","cty":"json; charset=utf-8","enc":"A256GCM"}`},
		{"text", "hello", "text/plain", `{"alg":"dir","cty":"text/plain","enc":"A256GCM"}`},
		{"a parameter with a slash", order, "application/x;y=a/b", `{"alg":"dir","cty":"application/x;y=a/b","enc":"A256GCM"}`},
		{"no media type", order, "", `{"alg":"dir","enc":"A256GCM"}`},
		{"nothing", "", "application/json", ours},
		{"bytes", "\x00\xff\r\n", "application/octet-stream", `{"alg":"dir","cty":"octet-stream","enc":"A256GCM"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			both := keys(t, secret)
			for _, k := range []sealed.Key{both.Requests, both.Responses} {
				body := seal(t, k, test.content, test.contentType)
				if header, _, _ := strings.Cut(string(body), "."); header != b64(test.header) {
					t.Errorf("the header is %s, want %s", header, b64(test.header))
				}
				// Each content is so long that it is not in the ciphertext by chance.
				if test.content != "" && bytes.Contains(body, []byte(b64(test.content))) {
					t.Error("the content can be read")
				}
				content, contentType, err := k.Open(body)
				if string(content) != test.content || contentType != test.contentType || err != nil {
					t.Errorf("got %q, %q, %v", content, contentType, err)
				}
			}
		})
	}
}

// TestByHand makes sure that what the package says of itself is what it does: others
// can open and seal with a standard library.
func TestByHand(t *testing.T) {
	t.Parallel()
	content, contentType, err := keys(t, secret).Requests.Open(byHand(t, ours, []byte(order)))
	if string(content) != order || contentType != "application/json" || err != nil {
		t.Errorf("got %q, %q, %v", content, contentType, err)
	}
	object, err := jose.ParseEncryptedCompact(string(seal(t, keys(t, secret).Requests, order, "application/json")), []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		t.Fatal(err)
	}
	if content, err := object.Decrypt(raw()); string(content) != order || err != nil {
		t.Errorf("got %q, %v", content, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	k := keys(t, secret).Requests
	good := string(seal(t, k, order, "application/json"))
	part := strings.Split(good, ".")
	with := func(i int, text string) string {
		changed := append([]string{}, part...)
		changed[i] = text
		return strings.Join(changed, ".")
	}
	header := func(text string) string { return with(0, b64(text)) }
	tag, err := base64.RawURLEncoding.DecodeString(part[4])
	if err != nil {
		t.Fatal(err)
	}
	cipherText, err := base64.RawURLEncoding.DecodeString(part[3])
	if err != nil {
		t.Fatal(err)
	}
	var deflated bytes.Buffer
	writer, err := flate.NewWriter(&deflated, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		name, body string
		want       error
	}{
		{"nothing", "", sealed.ErrMalformed},
		{"the content itself", order, sealed.ErrMalformed},
		{"four parts", strings.Join(part[:4], "."), sealed.ErrMalformed},
		{"six parts", good + ".", sealed.ErrMalformed},
		{"JSON form", `{"protected":"` + part[0] + `","iv":"` + part[2] + `","ciphertext":"` + part[3] + `","tag":"` + part[4] + `"}`, sealed.ErrMalformed},
		{"a line feed at the end", good + "\n", sealed.ErrMalformed},
		{"a line feed inside", with(3, part[3][:4]+"\n"+part[3][4:]), sealed.ErrMalformed},
		{"padding", with(4, part[4]+"=="), sealed.ErrMalformed},
		{"the other alphabet", with(3, "++++"), sealed.ErrMalformed},
		{"spare bits set", with(4, part[4][:21]+next(part[4][21])), sealed.ErrMalformed},
		{"a key in the message", with(1, "AAAA"), sealed.ErrMalformed},
		{"short IV", with(2, part[2][:8]), sealed.ErrMalformed},
		{"long IV", with(2, part[2]+"AAAA"), sealed.ErrMalformed},
		{"short tag", with(4, part[4][:16]), sealed.ErrMalformed},
		{"tag with some of the ciphertext", strings.Join([]string{part[0], "", part[2], b64(string(cipherText[:len(cipherText)-1])), b64(string(cipherText[len(cipherText)-1:]) + string(tag))}, "."), sealed.ErrMalformed},
		{"no header", with(0, ""), sealed.ErrMalformed},
		{"header that is no JSON", header("dir"), sealed.ErrMalformed},
		{"header that is null", header("null"), sealed.ErrMalformed},
		{"header that is a list", header("[]"), sealed.ErrMalformed},
		{"two headers", header(ours + ours), sealed.ErrMalformed},
		{"empty header", header("{}"), sealed.ErrAlgorithm},
		{"alg none", header(`{"alg":"none","enc":"A256GCM"}`), sealed.ErrAlgorithm},
		{"alg of a password", header(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":2147483647,"p2s":"AAAA"}`), sealed.ErrAlgorithm},
		{"alg in capitals", header(`{"alg":"DIR","enc":"A256GCM"}`), sealed.ErrAlgorithm},
		{"another enc", header(`{"alg":"dir","enc":"A128CBC-HS256"}`), sealed.ErrAlgorithm},
		{"enc missing", header(`{"alg":"dir"}`), sealed.ErrAlgorithm},
		{"alg no text", header(`{"alg":["dir"],"enc":"A256GCM"}`), sealed.ErrAlgorithm},
		{"name in capitals", header(`{"ALG":"dir","enc":"A256GCM"}`), sealed.ErrAlgorithm},
		{"key ID", string(byHand(t, `{"alg":"dir","enc":"A256GCM","kid":"1"}`, []byte(order))), sealed.ErrHeader},
		{"compressed", string(byHand(t, `{"alg":"dir","enc":"A256GCM","zip":"DEF"}`, deflated.Bytes())), sealed.ErrHeader},
		{"critical member", string(byHand(t, `{"alg":"dir","enc":"A256GCM","crit":["exp"],"exp":1}`, []byte(order))), sealed.ErrHeader},
		{"unknown member", string(byHand(t, `{"alg":"dir","enc":"A256GCM","x":null}`, []byte(order))), sealed.ErrHeader},
		{"cty no text", string(byHand(t, `{"alg":"dir","enc":"A256GCM","cty":1}`, []byte(order))), sealed.ErrHeader},
		{"cty empty", string(byHand(t, `{"alg":"dir","enc":"A256GCM","cty":""}`, []byte(order))), sealed.ErrHeader},
		{"cty with a line feed", string(byHand(t, `{"alg":"dir","enc":"A256GCM","cty":"json\r\nX: y"}`, []byte(order))), sealed.ErrHeader},
		{"alg twice", string(byHand(t, `{"alg":"none","alg":"dir","enc":"A256GCM"}`, []byte(order))), sealed.ErrMalformed},
		{"too long", strings.Repeat("A", sealed.MaxLength+1), sealed.ErrTooLong},

		{"another media type inside", header(strings.Replace(ours, "json", "html", 1)), sealed.ErrOpen},
		{"the same header with a space", header(strings.Replace(ours, ",", ", ", 1)), sealed.ErrOpen},
		{"header without cty", header(`{"alg":"dir","enc":"A256GCM"}`), sealed.ErrOpen},
		{"another IV", with(2, next(part[2][0])+part[2][1:]), sealed.ErrOpen},
		{"another ciphertext", with(3, next(part[3][0])+part[3][1:]), sealed.ErrOpen},
		{"another tag", with(4, next(part[4][0])+part[4][1:]), sealed.ErrOpen},
		{"no ciphertext", with(3, ""), sealed.ErrOpen},
		{"the other direction", string(seal(t, keys(t, secret).Responses, order, "application/json")), sealed.ErrOpen},
		{"another secret", string(seal(t, keys(t, secret+"x").Requests, order, "application/json")), sealed.ErrOpen},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			content, contentType, err := k.Open([]byte(test.body))
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if content != nil || contentType != "" {
				t.Errorf("an error, and %q, %q", content, contentType)
			}
		})
	}
	if content, _, err := k.Open([]byte(good)); string(content) != order || err != nil {
		t.Errorf("what all these were made from: %q, %v", content, err)
	}
}

// next is another character of base64.
func next(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[(strings.IndexByte(alphabet, c)+1)&63])
}

// TestEveryByteCounts changes one byte of a random sealed body.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	k := keys(t, secret).Requests
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOf(rapid.Byte()).Draw(t, "content")
		body, err := k.Seal(content, rapid.SampledFrom([]string{"", "application/json", "text/plain"}).Draw(t, "type"))
		if err != nil {
			t.Fatal(err)
		}
		if opened, _, err := k.Open(body); err != nil || !bytes.Equal(opened, content) {
			t.Fatalf("got %q, %v", opened, err)
		}
		at := rapid.IntRange(0, len(body)-1).Draw(t, "position")
		body[at] = rapid.Byte().Filter(func(b byte) bool { return b != body[at] }).Draw(t, "byte")
		if opened, _, err := k.Open(body); err == nil || opened != nil {
			t.Fatalf("%q opened to %q, %v", body, opened, err)
		}
	})
}

func TestNeverTheSame(t *testing.T) {
	t.Parallel()
	k := keys(t, secret).Requests
	seen := map[string]bool{}
	for range 100 {
		body := string(seal(t, k, order, ""))
		if seen[body] {
			t.Fatalf("%s again", body)
		}
		seen[body] = true
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	k := keys(t, secret).Requests
	overhead := len(seal(t, k, "", ""))
	longest := (sealed.MaxLength - overhead) * 3 / 4
	if _, _, err := k.Open(seal(t, k, strings.Repeat("x", longest), "")); err != nil {
		t.Errorf("the longest: %v", err)
	}
	if _, err := k.Seal(make([]byte, longest+3), ""); !errors.Is(err, sealed.ErrTooLong) {
		t.Errorf("too long: got %v, want %v", err, sealed.ErrTooLong)
	}
}

func TestSetUpWrongly(t *testing.T) {
	t.Parallel()
	if _, err := sealed.DeriveKeys(""); err == nil {
		t.Error("keys from no secret")
	}
	if _, err := keys(t, secret).Requests.Seal(nil, "a/b\r\nX: y"); !errors.Is(err, sealed.ErrContentType) {
		t.Errorf("got %v, want %v", err, sealed.ErrContentType)
	}
	var none sealed.Key
	if _, err := none.Seal(nil, ""); err == nil {
		t.Error("sealed without a key")
	}
	if _, _, err := none.Open(seal(t, keys(t, secret).Requests, "", "")); !errors.Is(err, sealed.ErrOpen) {
		t.Errorf("opened without a key: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", none, keys(t, secret).Requests, keys(t, secret).Requests); strings.ContainsAny(text, "[{") {
		t.Errorf("printed as %s", text)
	}
}

func FuzzOpen(f *testing.F) {
	k := keys(f, secret).Requests
	f.Add(byHand(f, ours, []byte(order)))
	f.Add(byHand(f, `{"alg":"dir","enc":"A256GCM","zip":"DEF"}`, []byte{0}))
	f.Add([]byte(b64(`{"alg":"PBES2-HS256+A128KW","enc":"A256GCM","p2c":1000000,"p2s":"AA"}`) + ".AA.AA.AA.AA"))
	f.Add([]byte("...."))
	genuine := map[string]bool{
		string(byHand(f, ours, []byte(order))): true,
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		content, contentType, err := k.Open(body)
		if err == nil && !genuine[string(body)] {
			t.Errorf("%q opened to %q, %q", body, content, contentType)
		}
		if err != nil && (content != nil || contentType != "") {
			t.Errorf("%q: an error and %q, %q", body, content, contentType)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := keys(b, secret).Requests
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal([]byte(order), "application/json"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := keys(b, secret).Requests
	body := seal(b, k, order, "application/json")
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := k.Open(body); err != nil {
			b.Fatal(err)
		}
	}
}
