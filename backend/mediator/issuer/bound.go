package issuer

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/jwk"
)

const (
	challengePath = "/challenge"
	keysPath      = "/jwks"
)

// byAttestation says whether clients authenticate at the mediator by an attestation.
func byAttestation(p catalog.Policies) bool {
	return Issuing(p) && p.Auth.ClientAuth == catalog.ByAttestation
}

// signing says whether the API signs its answers.
func signing(p catalog.Policies) bool {
	return Issuing(p) && p.Call.Sender == catalog.SignedMessages
}

// bound is what metadata says about keys: those of proofs (RFC 9449, section 5.1), and those of clients
// (draft-ietf-oauth-attestation-based-client-auth-12).
type bound struct {
	ProofAlgorithms       []string `json:"dpop_signing_alg_values_supported,omitempty"`
	Challenge             string   `json:"challenge_endpoint,omitempty"`
	AttestationAlgorithms []string `json:"client_attestation_signing_alg_values_supported,omitempty"`
	PoPAlgorithms         []string `json:"client_attestation_pop_signing_alg_values_supported,omitempty"`
	PoPMethods            []string `json:"client_attestation_pop_methods_supported,omitempty"`
	Keys                  string   `json:"jwks_uri,omitempty"`
}

// announce adds what there is at a stage whose tokens are bound to keys.
func (m *metadata) announce(p catalog.Policies) {
	algorithms := []string{jwk.Algorithm}
	if p.Call.Sender != catalog.AnySender {
		m.ProofAlgorithms = algorithms
	}
	if signing(p) {
		m.Keys = m.Issuer + keysPath
	}
	if byAttestation(p) {
		m.TokenAuth = []string{clientattestation.Method, clientattestation.MethodDPoP}
		m.RevocationAuth = m.TokenAuth
		m.Challenge, m.AttestationAlgorithms, m.PoPAlgorithms = m.Issuer+challengePath, algorithms, algorithms
		m.PoPMethods = []string{clientattestation.PoPMethod, clientattestation.PoPMethodDPoP}
	}
}

// challenge is the handler of the challenge endpoint: it gives out what clients put into their proofs, a
// challenge for one of its own and a nonce for DPoP.
//
//keyladder:code mediator-challenge
func (s *Server) challenge(c echo.Context, caller guard.Caller) error {
	nonces, slug := s.config.Proofs.Nonces, caller.Stage().Slug
	challenge := nonces.At(caller.At(), guard.ChallengePurpose, slug)
	header := c.Response().Header()
	header.Set("Cache-Control", "no-store")
	header.Set(clientattestation.ChallengeField, challenge)
	header.Set(dpop.NonceField, nonces.At(caller.At(), dpop.Field, slug))
	return c.JSON(http.StatusOK, map[string]string{"attestation_challenge": challenge})
}

// sameKey refuses a pushed request that names another key than the one that its client has proven to
// have (RFC 9449, section 10.1).
//
//keyladder:code mediator-dpop-jkt
func sameKey(form oauth.Form, caller guard.Caller) error {
	named := form["dpop_jkt"]
	if named == "" || caller.Thumbprint() == "" || named == caller.Thumbprint() {
		return nil
	}
	return oauth.Refuse(catalog.CheckDPoP, problem.New(http.StatusBadRequest, "invalid-dpop-proof", "There are two keys",
		"dpop_jkt is the thumbprint of another key than the one that was proven."), "dpop_jkt is %.80q, and the client has proven to have %s", named, caller.Thumbprint())
}

// publicKey is a key in a JWK Set (RFC 7517, section 5).
type publicKey struct {
	Kind      string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
	ID        string `json:"kid"` // its thumbprint
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
}

// keys are those with which the API signs its answers. The bank's apps have them in their package. A
// program without one gets them here, from a server whose TLS says that it is the one.
//
//keyladder:code mediator-keys
func (s *Server) keys(c echo.Context, _ guard.Caller) error {
	key, err := jwk.OfSigner(s.config.Proofs.Responses)
	if err != nil {
		return err
	}
	text, err := key.MarshalJSON()
	if err != nil {
		return err
	}
	shown := publicKey{ID: key.Thumbprint(), Use: "sig", Algorithm: jwk.Algorithm}
	if err := json.Unmarshal(text, &shown); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string][]publicKey{"keys": {shown}})
}
