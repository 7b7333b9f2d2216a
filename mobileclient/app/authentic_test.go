package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
)

// sealer is how a bank seals an answer.
type sealer func(content []byte, media string) ([]byte, string)

// saying has the bank say something that it would not say by itself, sealed, where the stage
// seals, and signed with the app's secret. A nil seal is the right one.
func (b *bench) saying(t *testing.T, respond http.HandlerFunc, seal sealer) {
	t.Helper()
	secret := b.settings.SharedSecret
	host, port, err := hawk.HostPort(b.bank.TLS)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := sealed.DeriveKeys(secret)
	if err != nil {
		t.Fatal(err)
	}
	if seal == nil {
		seal = func(content []byte, media string) ([]byte, string) {
			body, err := keys.Responses.Seal(content, media)
			if err != nil {
				t.Error(err)
			}
			return body, sealed.MediaType
		}
	}
	b.bank.Answer(func(w http.ResponseWriter, r *http.Request, body []byte) bool {
		slug, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		policy := lookup(t, slug).Call
		said := httptest.NewRecorder()
		respond(said, r)
		content := said.Body.Bytes()
		if policy.Bodies == catalog.SealedBodies && len(content) > 0 {
			var media string
			content, media = seal(content, said.Header().Get("Content-Type"))
			said.Header().Set("Content-Type", media)
		}
		if policy.AppProof == catalog.Hawk {
			server := hawk.Verifier{
				Host: host, Port: port, Field: policy.AppProofField(),
				Lookup: func(string) (string, error) { return secret, nil },
			}
			received, err := server.Verify(r, body, time.Now())
			if err == nil {
				err = received.SignResponse(said.Header(), content, "")
			}
			if err != nil {
				t.Error(err)
			}
		}
		for name, values := range said.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(said.Code)
		_, _ = w.Write(content)
		return true
	})
}

// problemOf says what went wrong as the bank does.
func problemOf(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", errorMedia)
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"urn:keyladder:problem:%s","title":"Refused","detail":"This is %s.","status":%d}`, kind, kind, status)
}
