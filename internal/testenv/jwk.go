package testenv

import (
	"crypto/ecdsa"
	"encoding/base64"
	"testing"
)

// PrivateJWK are the members of a P-256 key as a JWK with its private half (RFC 7518, section 6.2).
func PrivateJWK(t testing.TB, key *ecdsa.PrivateKey) map[string]any {
	t.Helper()
	bytes, text := Must[[]byte](t), base64.RawURLEncoding.EncodeToString
	point := bytes(key.PublicKey.Bytes()) // 4, x, y
	return map[string]any{
		"kty": "EC", "crv": "P-256", "x": text(point[1:33]), "y": text(point[33:]), "d": text(bytes(key.Bytes())),
	}
}
