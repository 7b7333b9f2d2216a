package workshop

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

const sample = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsiLCJ0eXAiOiJhdCtqd3QifQ." + // {"alg":"HS256","kid":"k","typ":"at+jwt"}
	"eyAic3ViIjogImFsaWNlIiwgImV4cCI6IDEgfQ." + // { "sub": "alice", "exp": 1 }
	"c2lnbmF0dXJl"

// TestForgery: what is not changed stays byte for byte, and what is signed is so with the key
// that was typed.
func TestForgery(t *testing.T) {
	t.Parallel()
	const header, claims = `{ "alg": "HS256", "kid": "k", "typ": "at+jwt" }`, "{\n  \"sub\": \"alice\",\n  \"exp\": 1\n}"
	for name, test := range map[string]struct {
		forged forgery
		want   string // empty: look at the signature alone
	}{
		"nothing changed": {forgery{header, claims, keepSignature, ""}, sample},
		"another user":    {forgery{header, `{"sub": "bob"}`, keepSignature, ""}, sample[:55] + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"bob"}`)) + ".c2lnbmF0dXJl"},
		"unsigned":        {forgery{header, claims, noSignature, ""}, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k","typ":"at+jwt"}`)) + sample[54:len(sample)-len("c2lnbmF0dXJl")]},
		"my own":          {forgery{header, claims, ownSignature, "mine"}, ""},
		"no secret":       {forgery{header, claims, ownSignature, ""}, ""},
	} {
		got, err := test.forged.token(sample)
		if err != nil || test.want != "" && got != test.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, test.want)
		}
		if test.forged.Signature == ownSignature {
			_, err := jwt.Parse(got, func(*jwt.Token) (any, error) { return []byte(test.forged.Secret), nil }, jwt.WithoutClaimsValidation())
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	var f *fault
	if _, err := (forgery{"[", "{}", keepSignature, ""}).token("no token"); !errors.As(err, &f) || f.Field != "header" {
		t.Errorf("a header that is no JSON: %v", err)
	}
	if got, err := (forgery{"[]", "1", noSignature, ""}).token(""); err != nil || got != "W10.MQ." {
		t.Errorf("no objects: %q, %v", got, err)
	}
}
