package attack

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/pin"
)

// Nothing is wrong with what a made-up phone says but that nobody knows its maker.
func TestMadeUpPhonesSayWhatRealOnesSay(t *testing.T) {
	t.Parallel()
	g, developer := packed(t)
	const system = pin.Pin("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	phone, err := g.makeUpPhone(evidenceOf(t, system))
	if err != nil {
		t.Fatal(err)
	}
	defer phone.line.Close()
	nonce, bound := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	text, err := phone.evidence(nonce, bound)
	if err != nil {
		t.Fatal(err)
	}
	verifier := evidence.Verifier{
		Roots: x509.NewCertPool(), Revoked: func(string) bool { return false }, Nonce: nonce, Bound: bound, Within: time.Minute,
	}
	if _, err := verifier.Verify(text, time.Now()); !errors.Is(err, evidence.ErrChain) {
		t.Errorf("where nobody knows its maker: %v", err)
	}
	verifier.Roots.AddCert(makerIn(t, text))
	said, err := verifier.Verify(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := pin.OfKey(developer)
	if err != nil {
		t.Fatal(err)
	}
	if !said.System.OEM || !said.System.Locked || said.System.Key != system || said.Debug != evidence.DebugDisabled ||
		said.Package.Name != "com.harbourbank.app" || said.Package.Signer != signer || said.Package.Measurement != phone.asking.Measurement {
		t.Errorf("it says %+v", said)
	}
	key, err := phone.line.Signer(phone.asking)
	if err != nil {
		t.Fatal(err)
	}
	if own, err := jwk.OfSigner(key); err != nil || own != said.Key {
		t.Errorf("the key is another one: %v", err)
	}
}

func TestMadeUpPhonesHaveToKnowARealOne(t *testing.T) {
	t.Parallel()
	g, _ := packed(t)
	for _, real := range []string{"", "a.b.c", "eyJ9.e30"} {
		if _, err := g.makeUpPhone(real); err == nil {
			t.Errorf("%q will do", real)
		}
	}
}

// packed is an attacker who has a package, and who has signed it.
func packed(t *testing.T) (*Given, ed25519.PublicKey) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	developer, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g := &Given{Package: filepath.Join(dir, "app.pkg"), Dir: dir}
	if err := release.Pack(g.Package, program, release.Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Release: 3}, nil, key); err != nil {
		t.Fatal(err)
	}
	return g, developer
}

// evidenceOf is some of a phone whose system is signed with a key of that pin.
func evidenceOf(t *testing.T, system pin.Pin) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwk.OfSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := evidence.Sign(key, nil, evidence.Claims{System: evidence.System{Key: system}, Key: public})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// makerIn is who has certified the device of some evidence, as that says.
func makerIn(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	header, _, _ := bytes.Cut([]byte(text), []byte("."))
	decoded, err := base64.RawURLEncoding.DecodeString(string(header))
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Chain [][]byte `json:"x5c"`
	}
	if err := json.Unmarshal(decoded, &said); err != nil || len(said.Chain) != 2 {
		t.Fatalf("%d certificates, %v", len(said.Chain), err)
	}
	maker, err := x509.ParseCertificate(said.Chain[1])
	if err != nil {
		t.Fatal(err)
	}
	return maker
}
