package build

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/releasetest"
	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
)

// shippable are settings like those of a deployment, at stages that want their secrets
// carried in this way.
func shippable(t testing.TB, how catalog.Secrets) release.Settings {
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
	s := release.Settings{
		App: "harbour-mobile", ClientID: "harbour-mobile", SharedSecret: "QZ3M5V7KXO2RCN4A6TJWLBYEHDIUPSFGQ5MXZ",
		ClientCertificate: string(client.Certificate), ClientKey: string(client.Key),
		ServerPins: []string{
			"sha256/" + base64.StdEncoding.EncodeToString(sum[:]), "sha256/" + base64.StdEncoding.EncodeToString(backup[:]),
		},
		APIPlain: "http://127.0.0.1:8080", APITLS: "https://127.0.0.1:8443", AuthServer: "https://127.0.0.1:8444",
		Attestation: "https://127.0.0.1:8445", Mediator: "https://127.0.0.1:8447",
		Developer:   ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public().(ed25519.PublicKey),
		TransferCap: 100_000, Log: release.LogCalls, Stages: map[string]catalog.Call{},
	}
	if how == catalog.NoSecrets {
		s.SharedSecret, s.ClientCertificate, s.ClientKey = "", "", ""
	}
	for _, stage := range catalog.All().Built() {
		if stage.Package.Secrets == how {
			s.Stages[stage.Slug] = stage.Call
		}
	}
	return s
}

func bundled(t testing.TB, s release.Settings, how catalog.Secrets) map[string][]byte {
	t.Helper()
	assets, err := Bundle(s, how)
	if err != nil {
		t.Fatal(err)
	}
	return assets
}

// unbundle is what the programs do.
var unbundle = map[catalog.Secrets]func(map[string][]byte) (*release.Settings, error){
	catalog.ClearSecrets: release.UnbundleClear, catalog.HiddenSecrets: scatter.Unbundle, catalog.NoSecrets: release.UnbundleNoSecrets,
}

func TestBundleIsReadBack(t *testing.T) {
	t.Parallel()
	for how := range unbundle {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			want := shippable(t, how)
			assets := bundled(t, want, how)
			got, err := unbundle[how](assets)
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
		change func(*release.Settings)
		want   error
	}{
		{"nothing said", "", func(*release.Settings) {}, release.ErrSecrets},
		{"something new", "in-hardware", func(*release.Settings) {}, release.ErrSecrets},
		{"too much", catalog.HiddenSecrets, func(s *release.Settings) { s.SharedSecret = strings.Repeat("s", scatter.Max) }, scatter.ErrTooMuch},
		{"a secret where there is to be none", catalog.NoSecrets, func(s *release.Settings) { s.ClientCertificate, s.ClientKey = "", "" }, release.ErrSecrets},
		{"a client secret", catalog.NoSecrets, func(s *release.Settings) {
			*s = release.Settings{ClientSecret: "QZ3M5V7K"}
		}, release.ErrSecrets},
		{"a client's key", catalog.NoSecrets, func(s *release.Settings) { s.SharedSecret = "" }, release.ErrSecrets},
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
		{"no settings", func(a map[string][]byte) { delete(a, release.SettingsFile) }, release.ErrSettings},
		{"broken settings", func(a map[string][]byte) { a[release.SettingsFile] = []byte("{") }, release.ErrSettings},
		{"an unknown setting", func(a map[string][]byte) {
			a[release.SettingsFile] = bytes.Replace(a[release.SettingsFile], []byte("{"), []byte(`{"DEBUG":true,`), 1)
		}, release.ErrSettings},
		{"pins added in the clear", func(a map[string][]byte) {
			a[release.SettingsFile] = bytes.Replace(a[release.SettingsFile], []byte("{"), []byte(`{"SERVER_PINS":["sha256/mine"],`), 1)
		}, release.ErrSettings},
		{"pins that are not looked at", func(a map[string][]byte) {
			a[release.SettingsFile] = bytes.ReplaceAll(a[release.SettingsFile], []byte(`"pinned"`), []byte(`"not-pinned"`))
		}, release.ErrSecrets},
		{"the pictures are gone", func(a map[string][]byte) {
			maps.DeleteFunc(a, func(name string, _ []byte) bool { return name != release.SettingsFile })
		}, scatter.ErrDamaged},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assets := bundled(t, shippable(t, catalog.HiddenSecrets), catalog.HiddenSecrets)
			test.change(assets)
			if _, err := scatter.Unbundle(assets); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// TestOtherFormsAreNotRead: a program reads the settings of its own release, and of no other. Old
// ones, which do not say where the attestation service is, stay readable.
func TestOtherFormsAreNotRead(t *testing.T) {
	t.Parallel()
	clear := bundled(t, shippable(t, catalog.ClearSecrets), catalog.ClearSecrets)
	if _, err := release.UnbundleNoSecrets(clear); !errors.Is(err, release.ErrSettings) {
		t.Errorf("secrets where there are to be none: %v", err)
	}
	none := bundled(t, shippable(t, catalog.NoSecrets), catalog.NoSecrets)
	if _, err := scatter.Unbundle(none); !errors.Is(err, release.ErrSettings) {
		t.Errorf("nothing is hidden: %v", err)
	}
	for how, assets := range map[catalog.Secrets]map[string][]byte{
		catalog.ClearSecrets: clear, catalog.HiddenSecrets: bundled(t, shippable(t, catalog.HiddenSecrets), catalog.HiddenSecrets),
	} {
		var old map[string]any
		if err := json.Unmarshal(assets[release.SettingsFile], &old); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ATTESTATION_SERVICE", "MEDIATOR", "DEVELOPER_KEY"} {
			if old[name] == nil {
				t.Errorf("%s: there is no %s", how, name)
			}
			delete(old, name)
		}
		again, err := release.BundleSettings(old)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(assets, again)
		if s, err := unbundle[how](assets); err != nil || s.Attestation != "" || s.SharedSecret == "" {
			t.Errorf("%s: an old package: %+v, %v", how, s, err)
		}
	}
}

// TestRepackedSettingsWork changes what is in the clear, as an attacker does: what is
// hidden does not notice.
func TestRepackedSettingsWork(t *testing.T) {
	t.Parallel()
	assets := bundled(t, shippable(t, catalog.HiddenSecrets), catalog.HiddenSecrets)
	assets[release.SettingsFile] = bytes.Replace(assets[release.SettingsFile], []byte("100000"), []byte("100000000"), 1)
	s, err := scatter.Unbundle(assets)
	if err != nil || s.TransferCap != 100_000_000 || s.SharedSecret == "" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestSearchPackage packs the app's real programs and searches the files, and what is in
// their pictures, for what is secret in every form that people search for, and for the
// names that it had in the clear.
func TestSearchPackage(t *testing.T) {
	t.Parallel()
	programs, err := Build(t.Context(), t.TempDir(), catalog.ClearSecrets, catalog.HiddenSecrets, catalog.NoSecrets)
	if err != nil {
		t.Fatal(err)
	}
	for how, program := range programs {
		t.Run(string(how), func(t *testing.T) {
			t.Parallel()
			s := shippable(t, how)
			path := filepath.Join(t.TempDir(), "app.pkg")
			manifest := release.Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 1}
			developer := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
			if err := release.Pack(path, program, manifest, bundled(t, s, how), developer); err != nil {
				t.Fatal(err)
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, _, assets, err := release.Read(path)
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
			needles := releasetest.Names()
			if how == catalog.NoSecrets {
				delete(needles, "the name SERVER_PINS") // which are no secrets
			} else {
				maps.Copy(needles, releasetest.Values(t, s))
			}
			for where, haystack := range haystacks {
				for what, form := range needles.Find(haystack) {
					if how != catalog.ClearSecrets {
						t.Errorf("%s is in %s as %s", what, where, form)
					} else if where == "the file" {
						delete(needles, what)
					}
				}
			}
			if how == catalog.ClearSecrets && len(needles) > 0 {
				t.Errorf("not found in the clear: %v", slices.Sorted(maps.Keys(needles)))
			}
			if !bytes.Contains(file, []byte(`"CLIENT_ID": "harbour-mobile"`)) {
				t.Error("the client ID, which is no secret, is not there")
			}
			// What the next release hides is not to be had from this one's program.
			for _, part := range []string{
				"grain 100 g/m2, warm white, feed 2", "images/grain-%d.png", "release/scatter", "scatter.Gather", "scatter.Unbundle", scatter.ErrDamaged.Error(),
			} {
				if there := bytes.Contains(file, []byte(part)); there != (how == catalog.HiddenSecrets) {
					t.Errorf("%q is in the program: %v", part, there)
				}
			}
		})
	}
}

// TestAttackersDoNotUseIt makes sure that whoever attacks the package takes it apart
// with tools of their own: calling ours would prove nothing.
func TestAttackersDoNotUseIt(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../attacker/*.go")
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
				if !strings.HasSuffix(file, "_test.go") && strings.Contains(node.Path.Value, "mobileclient/release/") {
					t.Errorf("%s imports %s", file, node.Path.Value)
				}
			case *ast.SelectorExpr:
				if strings.HasPrefix(node.Sel.Name, "Unbundle") {
					t.Errorf("%s calls %s", file, node.Sel.Name)
				}
			}
			return true
		})
	}
}
