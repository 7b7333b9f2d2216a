package server_test

import (
	"net/http"
	"testing"

	"keyladder/stages/mechanism/attestation"
)

// The genuine app gets a token that is good, at each level, and what is in it.
func TestGenuineApp(t *testing.T) {
	t.Parallel()
	w := start(t)
	for stage, level := range map[string]string{byHash: "package-hash", byChallenge: "package-challenge"} {
		result := w.attests(t, stage, mine(), w.pkg, attestation.Findings{})
		claims, err := w.verify(stage, result.Token)
		if err != nil {
			t.Errorf("%s: %v, because of %+v", stage, err, w.result(t, result).Claims)
			continue
		}
		if claims.ClientID != app || claims.Device != "device-1" || claims.Release != 2 || claims.Level != level || result.ExpiresIn != 60 {
			t.Errorf("%s: %+v, for %d s", stage, claims, result.ExpiresIn)
		}
		if shown := w.result(t, result); !shown.Good || shown.Token != claims.ID || shown.Policy != 1 || len(shown.Claims) != 4 {
			t.Errorf("%s: the admin sees %+v", stage, shown)
		}
	}
	if r := w.call(t, http.MethodPost, "/"+without+attestation.SessionsPath, mine()); r.StatusCode != http.StatusNotFound {
		t.Errorf("where nobody attests: %d %s", r.StatusCode, r.body)
	}
}
