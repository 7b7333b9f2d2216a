package pkce_test

import (
	"errors"
	"strings"
	"testing"

	"keyladder/stages/mechanism/pkce"
)

// The example of RFC 7636, appendix B.
const (
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

func TestVector(t *testing.T) {
	t.Parallel()
	if made := pkce.Challenge(pkce.S256, verifier); made != challenge {
		t.Errorf("S256 makes %q", made)
	}
	if made := pkce.Challenge(pkce.Plain, verifier); made != verifier {
		t.Errorf("plain makes %q", made)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	other, long := pkce.NewVerifier(), strings.Repeat("~", pkce.MaxLength)
	for name, test := range map[string]struct {
		method, challenge, verifier string
		want                        bool
	}{
		"S256":                       {pkce.S256, challenge, verifier, true},
		"plain":                      {pkce.Plain, verifier, verifier, true},
		"the longest":                {pkce.Plain, long, long, true},
		"another verifier":           {pkce.S256, challenge, other, false},
		"another verifier, plain":    {pkce.Plain, verifier, other, false},
		"in small letters":           {pkce.S256, challenge, strings.ToLower(verifier), false},
		"the challenge itself":       {pkce.S256, challenge, challenge, false},
		"read as plain":              {pkce.Plain, challenge, verifier, false},
		"no verifier":                {pkce.S256, challenge, "", false},
		"neither":                    {pkce.Plain, "", "", false},
		"no challenge":               {pkce.S256, "", verifier, false},
		"short, though it would fit": {pkce.Plain, "abc", "abc", false},
		"an unknown method":          {"s256", challenge, verifier, false},
		"no method":                  {"", verifier, verifier, false},
		"an unknown method, nothing": {"none", "", verifier, false},
	} {
		if got := pkce.Verify(test.method, test.challenge, test.verifier); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNewVerifier(t *testing.T) {
	t.Parallel()
	made := pkce.NewVerifier()
	if err := pkce.CheckVerifier(made); err != nil || len(made) != pkce.MinLength || made == pkce.NewVerifier() {
		t.Errorf("%q, %v", made, err)
	}
}

func TestCheckVerifier(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		verifier string
		want     error
	}{
		"the shortest":     {strings.Repeat("a", 43), nil},
		"too short":        {strings.Repeat("a", 42), pkce.ErrLength},
		"the longest":      {strings.Repeat("a", 128), nil},
		"too long":         {strings.Repeat("a", 129), pkce.ErrLength},
		"none":             {"", pkce.ErrLength},
		"all characters":   {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", nil},
		"base64":           {strings.Repeat("a", 42) + "+", pkce.ErrCharacter},
		"padding":          {strings.Repeat("a", 43) + "=", pkce.ErrCharacter},
		"a space":          {strings.Repeat("a", 42) + " ", pkce.ErrCharacter},
		"a NUL":            {strings.Repeat("a", 42) + "\x00", pkce.ErrCharacter},
		"43 bytes in UTF8": {strings.Repeat("a", 41) + "é", pkce.ErrCharacter},
	} {
		if err := pkce.CheckVerifier(test.verifier); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	both, strict := []string{pkce.Plain, pkce.S256}, []string{pkce.S256}
	for name, test := range map[string]struct {
		challenge, method string
		accepted          []string
		want              string
		err               error
	}{
		"S256":                     {challenge, "S256", both, pkce.S256, nil},
		"S256 alone":               {challenge, "S256", strict, pkce.S256, nil},
		"plain":                    {verifier, "plain", both, pkce.Plain, nil},
		"no method":                {verifier, "", both, pkce.Plain, nil},
		"no method, no plain":      {verifier, "", strict, "", pkce.ErrMethod},
		"plain, not accepted":      {verifier, "plain", strict, "", pkce.ErrMethod},
		"in small letters":         {challenge, "s256", both, "", pkce.ErrMethod},
		"in capitals":              {verifier, "PLAIN", both, "", pkce.ErrMethod},
		"none accepted":            {challenge, "S256", nil, "", pkce.ErrMethod},
		"no challenge":             {"", "S256", both, "", pkce.ErrMissing},
		"neither":                  {"", "", both, "", pkce.ErrMissing},
		"too short":                {challenge[1:], "S256", both, "", pkce.ErrLength},
		"too long for SHA-256":     {challenge + "A", "S256", both, "", pkce.ErrLength},
		"with padding":             {challenge + "=", "S256", both, "", pkce.ErrCharacter},
		"plain, too long":          {strings.Repeat("a", 129), "plain", both, "", pkce.ErrLength},
		"plain, of another script": {strings.Repeat("ä", 30), "plain", both, "", pkce.ErrCharacter},
	} {
		method, err := pkce.Read(test.challenge, test.method, test.accepted...)
		if method != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: %q, %v", name, method, err)
		}
	}
}

// FuzzRead: what the server accepts as a challenge has one verifier at most, and what is no
// verifier fits none.
func FuzzRead(f *testing.F) {
	f.Add(challenge, "S256", verifier)
	f.Add(verifier, "plain", verifier)
	f.Add(verifier, "", "")
	f.Fuzz(func(t *testing.T, challenge, method, verifier string) {
		read, err := pkce.Read(challenge, method, pkce.Plain, pkce.S256)
		if (err == nil) != (read == pkce.Plain || read == pkce.S256) {
			t.Fatalf("%q, %v", read, err)
		}
		if pkce.Verify(read, challenge, verifier) && (err != nil || pkce.CheckVerifier(verifier) != nil || pkce.Challenge(read, verifier) != challenge) {
			t.Fatalf("%q fits %q", verifier, challenge)
		}
	})
}
