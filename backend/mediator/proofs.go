package mediator

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"keyladder/backend/guard"
	"keyladder/backend/marks"
	"keyladder/backend/mediator/secrets"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/servernonce"
)

// nonceSlot is how long a nonce is given out: it is good until the next one is replaced, so that a
// client which calls now and then need not ask twice.
const nonceSlot = time.Minute

// asked says whether a stage that is built asks for something.
func (s *Server) asked(by func(catalog.Policies) bool) bool {
	return slices.ContainsFunc(s.config.Stages.Built(), func(stage catalog.Stage) bool { return by(stage.Policies) })
}

// secret is the key of what the mediator keeps, and of what it gives out and does not keep.
func (s *Server) secret() (*secrets.Key, error) {
	text, err := s.config.Folder.Read(secrets.File)
	if err != nil {
		return nil, err
	}
	return secrets.Read(text)
}

// openProofs makes what it takes to check proofs, where stages ask for any. All mediators of a deployment
// know each other's nonces. Each has a memory of its own.
func (s *Server) openProofs(ctx context.Context, key *secrets.Key, resumed bool) (err error) {
	if !s.asked(func(p catalog.Policies) bool { return p.Call.Sender != catalog.AnySender }) {
		return nil
	}
	s.mark, err = marks.Open(ctx, s.db, s.config.Folder.Addresses.Listen(deployment.MediatorService), resumed, guard.ProofSkew)
	if err != nil {
		return err
	}
	s.proofs = &guard.Proofs{
		Nonces: &servernonce.Source{Key: []byte(key.Derive("nonces of proofs")), Slot: nonceSlot},
		Memory: guard.ProofMemory(s.mark, s.config.Now()),
	}
	if s.asked(func(p catalog.Policies) bool { return p.Call.Sender == catalog.SignedMessages }) {
		s.proofs.Responses, err = key.Answers()
	}
	return err
}

// advance keeps the mark of the memory ahead of the clock.
func (s *Server) advance() error {
	if s.mark == nil {
		return nil
	}
	return s.mark.Advance(s.config.Now())
}

// closeProofs writes until when proofs were taken, when no more are.
func (s *Server) closeProofs() error {
	if s.mark == nil {
		return nil
	}
	return s.mark.Close(s.proofs.Memory.Latest())
}

// attester knows the key of the attestation service, where stages ask for client attestations.
func (s *Server) attester() (func(keyID string) (jwk.Key, bool), error) {
	if !s.asked(func(p catalog.Policies) bool { return p.Auth.ClientAuth == catalog.ByAttestation }) {
		return nil, nil
	}
	text, err := s.config.Folder.Read(deployment.AttesterFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no public key in PEM", deployment.AttesterFile)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", deployment.AttesterFile, err)
	}
	of, _ := public.(*ecdsa.PublicKey)
	key, err := jwk.Of(of)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", deployment.AttesterFile, err)
	}
	return func(keyID string) (jwk.Key, bool) { return key, keyID == "" || keyID == key.Thumbprint() }, nil
}
