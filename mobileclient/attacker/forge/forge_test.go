package forge

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	mechanism "keyladder/stages/mechanism/token"
)

// forged makes forgeries of a token of mallory's.
func forged(t *testing.T) (all []Forgery, verifier mechanism.Verifier, own string) {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	now, key := time.Now(), testKey
	own, err := key.Sign(mechanism.Claims{
		Issuer: "https://bank.example", Subject: "mallory", Audience: []string{"https://bank.example/v1"}, ClientID: "harbour-mobile",
		Issued: now, Expires: now.Add(time.Hour), ID: mechanism.NewID(), Scope: "accounts:read",
	})
	if err != nil {
		t.Fatal(err)
	}
	verifier = mechanism.Verifier{
		Issuer: "https://bank.example", Audience: "https://bank.example/v1",
		Keys: func(id string) (mechanism.Secret, bool) { return key.Secret, id == key.ID },
	}
	if all, err = For("alice", own, server.Certificate()); err != nil {
		t.Fatal(err)
	}
	return all, verifier, own
}

var testKey = mechanism.NewKey()

func TestForgeries(t *testing.T) {
	t.Parallel()
	all, verifier, own := forged(t)
	if _, err := verifier.Verify(own, time.Now()); err != nil {
		t.Fatalf("the token that they are made of is not good: %v", err)
	}
	if len(all) < 30 {
		t.Errorf("only %d", len(all))
	}
	seen := map[string]bool{}
	for _, f := range all {
		switch claims, err := verifier.Verify(f.Token, time.Now()); {
		case err == nil:
			t.Errorf("%s: it is good: %+v", f.What, claims)
		case f.What == "" || seen[f.What] || seen[f.Token]:
			t.Errorf("%q is there twice", f.What)
		}
		seen[f.What], seen[f.Token] = true, true
		header := http.Header{}
		mechanism.Set(header, f.Token)
		if sent, err := mechanism.From(header); err != nil || sent != f.Token {
			t.Errorf("%s: it can't be sent: %v", f.What, err)
		}
		if !saysAlice(f.Token) {
			t.Errorf("%s: it says nothing of alice", f.What)
		}
	}
}

// saysAlice reads a token as a careless server does. What is encrypted it takes on trust.
func saysAlice(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) == 5 {
		return true
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	return err == nil && strings.Contains(string(claims), "alice")
}

// Each fault of a verifier lets some of the forgeries in: they are not all refused for one
// and the same reason.
func TestForgeriesMeetEveryCheck(t *testing.T) {
	t.Parallel()
	all, verifier, _ := forged(t)
	found := map[error]bool{}
	kinds := []error{mechanism.ErrForm, mechanism.ErrHeader, mechanism.ErrType, mechanism.ErrAlgorithm, mechanism.ErrKey, mechanism.ErrSignature}
	for _, f := range all {
		_, err := verifier.Verify(f.Token, time.Now())
		for _, kind := range kinds {
			found[kind] = found[kind] || errors.Is(err, kind)
		}
	}
	for _, kind := range kinds {
		if !found[kind] {
			t.Errorf("none is refused because: %v", kind)
		}
	}
}

// A server whose key is a word is robbed, whatever else it looks at.
func TestGuessedKey(t *testing.T) {
	t.Parallel()
	all, _, _ := forged(t)
	for _, f := range all {
		if !strings.Contains(f.What, `"secret"`) || !strings.HasPrefix(f.What, "signed with the guessed key") {
			continue
		}
		parsed, err := read(f.Token)
		if err != nil {
			t.Fatal(err)
		}
		made := signedAgain(parsed)
		if made != f.Token || parsed.claims["sub"] != "alice" {
			t.Errorf("under the key it is %s, not %s", made, f.Token)
		}
		return
	}
	t.Error("nobody guesses a key")
}

func TestNotAToken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a.b", "a.b.c", "e30.e30.x.y", "!.!.!"} {
		if got, err := For("alice", text, &x509.Certificate{}); err == nil {
			t.Errorf("%q: %d forgeries", text, len(got))
		}
	}
}

// signedAgain is the token with a signature under the word.
func signedAgain(t token) string {
	return signed(t.header, t.claims, mac(sha256.New, []byte("secret")))
}

func TestTwice(t *testing.T) {
	t.Parallel()
	o := object{"sub": "mallory", "n": json.Number("1")}
	if got := o.twice("sub", "alice", true); got != `{"n":1,"sub":"mallory","sub":"alice"}` {
		t.Error(got)
	}
	if got := o.twice("sub", "alice", false); got != `{"sub":"alice","n":1,"sub":"mallory"}` {
		t.Error(got)
	}
}
