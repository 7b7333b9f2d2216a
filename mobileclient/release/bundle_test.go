package release

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyladder/internal/pki"
	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
)

// shippable are settings like those of a deployment, at stages that want their secrets
// carried in this way.
func shippable(t testing.TB, how catalog.Secrets) Settings {
	t.Helper()
	ca, err := pki.NewCA("Harbour Bank app CA")
	if err != nil {
		t.Fatal(err)
	}
	client, err := ca.Client("harbour-mobile")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("the server's public key"))
	backup := sha256.Sum256([]byte("the other"))
	s := Settings{
		ClientID: "harbour-mobile", SharedSecret: "QZ3M5V7KXO2RCN4A6TJWLBYEHDIUPSFGQ5MXZ",
		ClientCertificate: string(client.Certificate), ClientKey: string(client.Key),
		ServerPins: []string{
			"sha256/" + base64.StdEncoding.EncodeToString(sum[:]), "sha256/" + base64.StdEncoding.EncodeToString(backup[:]),
		},
		APIPlain: "http://127.0.0.1:8080", APITLS: "https://127.0.0.1:8443", TransferCap: 100_000,
		Stages: map[string]catalog.Policy{},
	}
	for _, stage := range catalog.All().Built() {
		if stage.Policy.Secrets == how {
			s.Stages[stage.Slug] = stage.Policy
		}
	}
	return s
}

func bundled(t testing.TB, s Settings, how catalog.Secrets) map[string][]byte {
	t.Helper()
	assets, err := Bundle(s, how)
	if err != nil {
		t.Fatal(err)
	}
	return assets
}

func TestBundleIsReadBack(t *testing.T) {
	t.Parallel()
	for _, how := range []catalog.Secrets{catalog.ClearSecrets, catalog.HiddenSecrets} {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			want := shippable(t, how)
			assets := bundled(t, want, how)
			got, err := Unbundle(assets)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&want, got); diff != "" {
				t.Error(diff)
			}
			if again := bundled(t, want, how); how == catalog.HiddenSecrets && cmp.Equal(assets, again) {
				t.Error("two packages have the same segments in the same places")
			}
		})
	}
}

func TestBundleRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		how    catalog.Secrets
		change func(*Settings)
		want   error
	}{
		{"in the clear, where they are to be hidden", catalog.ClearSecrets, func(*Settings) {}, ErrSecrets},
		{"nothing said", "", func(*Settings) {}, ErrSecrets},
		{"something new", "in-hardware", func(*Settings) {}, ErrSecrets},
		{"no stages", catalog.HiddenSecrets, func(s *Settings) { s.Stages = nil }, ErrSecrets},
		{"stages that do not agree", catalog.HiddenSecrets, func(s *Settings) {
			s.Stages["hmac"] = catalog.Policy{Secrets: catalog.ClearSecrets}
		}, ErrSecrets},
		{"a stage that says nothing", catalog.HiddenSecrets, func(s *Settings) { s.Stages["hmac"] = catalog.Policy{} }, ErrSecrets},
		{"too much", catalog.HiddenSecrets, func(s *Settings) { s.SharedSecret = strings.Repeat("s", scatter.Max) }, scatter.ErrTooMuch},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := shippable(t, catalog.HiddenSecrets)
			test.change(&s)
			if _, err := Bundle(s, test.how); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestUnbundleRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(assets map[string][]byte)
		want   error
	}{
		{"no settings", func(a map[string][]byte) { delete(a, SettingsFile) }, ErrSettings},
		{"broken settings", func(a map[string][]byte) { a[SettingsFile] = []byte("{") }, ErrSettings},
		{"an unknown setting", func(a map[string][]byte) {
			a[SettingsFile] = bytes.Replace(a[SettingsFile], []byte("{"), []byte(`{"DEBUG":true,`), 1)
		}, ErrSettings},
		{"pins added in the clear", func(a map[string][]byte) {
			a[SettingsFile] = bytes.Replace(a[SettingsFile], []byte("{"), []byte(`{"SERVER_PINS":["sha256/mine"],`), 1)
		}, ErrSecrets},
		{"another way to carry them", func(a map[string][]byte) {
			a[SettingsFile] = bytes.ReplaceAll(a[SettingsFile], []byte(`"hidden"`), []byte(`"elsewhere"`))
		}, ErrSecrets},
		{"the pictures are gone", func(a map[string][]byte) {
			maps.DeleteFunc(a, func(name string, _ []byte) bool { return name != SettingsFile })
		}, scatter.ErrDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assets := bundled(t, shippable(t, catalog.HiddenSecrets), catalog.HiddenSecrets)
			test.change(assets)
			if _, err := Unbundle(assets); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestRepackedSettingsWork changes what is in the clear, as an attacker does: what is
// hidden does not notice.
func TestRepackedSettingsWork(t *testing.T) {
	t.Parallel()
	assets := bundled(t, shippable(t, catalog.HiddenSecrets), catalog.HiddenSecrets)
	assets[SettingsFile] = bytes.Replace(assets[SettingsFile], []byte("100000"), []byte("100000000"), 1)
	s, err := Unbundle(assets)
	if err != nil || s.TransferCap != 100_000_000 || s.SharedSecret == "" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestSearchPackage packs the app's real program as release 1 and 2 and searches the
// files, and what is in their pictures, for what is secret in every form that people
// search for.
func TestSearchPackage(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "program")
	if err := BuildProgram(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		release int
		how     catalog.Secrets
		found   bool
	}{{1, catalog.ClearSecrets, true}, {2, catalog.HiddenSecrets, false}} {
		t.Run(string(test.how), func(t *testing.T) {
			t.Parallel()
			s := shippable(t, test.how)
			m := bank()
			m.Release = test.release
			path := filepath.Join(t.TempDir(), "app.pkg")
			if err := Pack(path, program, m, bundled(t, s, test.how), developer); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, _, assets, err := Read(path)
			if err != nil {
				t.Fatal(err)
			}
			haystacks := map[string][]byte{"the file": file}
			for name, data := range assets {
				haystacks[name] = data
				if picture, err := png.Decode(bytes.NewReader(data)); err == nil {
					haystacks["the pixels of "+name] = picture.(*image.Gray).Pix
				}
			}
			needles := searchedFor(t, s)
			for where, haystack := range haystacks {
				for what, how := range found(haystack, needles) {
					if !test.found {
						t.Errorf("%s is in %s as %s", what, where, how)
					}
					if where == "the file" {
						delete(needles, what)
					}
				}
			}
			if test.found && len(needles) > 0 {
				t.Errorf("not found in the clear: %v", slices.Sorted(maps.Keys(needles)))
			}
			if !bytes.Contains(file, []byte(`"CLIENT_ID": "harbour-mobile"`)) {
				t.Error("the client ID, which is no secret, is not there")
			}
		})
	}
}

// searchedFor are the secrets of the settings, by what they are.
func searchedFor(t *testing.T, s Settings) map[string][]byte {
	t.Helper()
	needles := map[string][]byte{"the shared secret": []byte(s.SharedSecret)}
	certificate, _ := pem.Decode([]byte(s.ClientCertificate))
	pair, err := pki.Pair{Certificate: []byte(s.ClientCertificate), Key: []byte(s.ClientKey)}.TLS()
	if err != nil {
		t.Fatal(err)
	}
	key := pair.PrivateKey.(*ecdsa.PrivateKey)
	private, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	needles["the private key"], needles["the public key"] = private, public[1:]
	needles["the certificate's signature"] = certificate.Bytes[len(certificate.Bytes)-48:]
	for i, pin := range s.ServerPins {
		text := strings.TrimPrefix(pin, "sha256/")
		digest, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		needles["pin "+string(rune('1'+i))] = digest
	}
	return needles
}

const window = 10 // bytes of a form that have to be there in one piece to be worth a look

// found looks for pieces of the needles, in all their forms.
func found(haystack []byte, needles map[string][]byte) map[string]string {
	type match struct{ what, how string }
	windows := map[[window]byte]match{}
	for what, needle := range needles {
		for how, form := range forms(needle) {
			for at := 0; at+window <= len(form); at++ {
				windows[[window]byte(form[at:])] = match{what, how}
			}
		}
	}
	matches := map[string]string{}
	for at := 0; at+window <= len(haystack); at++ {
		if m, ok := windows[[window]byte(haystack[at:])]; ok {
			matches[m.what] = m.how
		}
	}
	return matches
}

// forms are the ways in which bytes are written down. Base64 depends on where in the
// text, modulo three, they begin: three offsets, less the characters that depend on the
// neighbours too. PEM is base64, in lines that are longer than a window.
func forms(needle []byte) map[string][]byte {
	reversed := slices.Clone(needle)
	slices.Reverse(reversed)
	forms := map[string][]byte{
		"raw": needle, "backwards": reversed,
		"hex": []byte(hex.EncodeToString(needle)), "capital hex": []byte(strings.ToUpper(hex.EncodeToString(needle))),
		"base32": []byte(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(needle)),
	}
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for offset := range 3 {
			shifted := encoding.EncodeToString(append(make([]byte, offset), needle...))
			end := len(shifted) - 2
			forms[name+" at offset "+string(rune('0'+offset))] = []byte(shifted[[]int{0, 2, 3}[offset]:end])
		}
	}
	return forms
}

// TestAttackersDoNotUseIt makes sure that whoever attacks the package takes it apart
// with tools of their own: calling ours would prove nothing.
func TestAttackersDoNotUseIt(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../attacker/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no attacker's source: %v", err)
	}
	for _, file := range files {
		source, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(source, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.ImportSpec:
				if strings.Contains(node.Path.Value, "release/scatter") {
					t.Errorf("%s imports %s", file, node.Path.Value)
				}
			case *ast.SelectorExpr:
				if node.Sel.Name == "Unbundle" {
					t.Errorf("%s calls Unbundle", file)
				}
			}
			return true
		})
	}
}

func TestProgram(t *testing.T) {
	t.Setenv(ProgramEnv2, "")
	if got := Program(2, "plain"); got != "plain" {
		t.Errorf("without an obfuscated one: %s", got)
	}
	t.Setenv(ProgramEnv2, "garbled")
	for number, want := range map[int]string{1: "plain", 2: "garbled", 3: "plain"} {
		if got := Program(number, "plain"); got != want {
			t.Errorf("release %d: got %s, want %s", number, got, want)
		}
	}
}
