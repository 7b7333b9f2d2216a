package tokens

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"keyladder/stages/mechanism/token"
)

// ErrLookup means that the database could not be asked about a token.
var ErrLookup = errors.New("look up an access token")

// opaqueBytes makes guessing a token as likely as 2^-256.
const opaqueBytes = 32

// opaque makes an opaque token: 256 random bits in base64url, without padding. The database gets
// its hash alone, so that whoever reads it can't use the tokens.
func opaque() (text string, hash []byte) {
	var bits [opaqueBytes]byte
	rand.Read(bits[:]) // never fails
	text = base64.RawURLEncoding.EncodeToString(bits[:])
	return text, hashOf(text)
}

func hashOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// Find tells what a token of a stage's issuer stands for, if it is a good one at that time. It does
// not look at revocations: see [Book.Revoked]. JWTs say it themselves ([Book.Verify]); opaque tokens
// are looked up in the database. Errors are those of [token.Verifier.Verify], [ErrNoToken] for an
// opaque one that is not known, or [ErrLookup].
//
//keyladder:code token-find
func (s *Store) Find(ctx context.Context, stage, text string, at time.Time) (*Token, error) {
	issuer := s.issuers[stage]
	if !issuer.Opaque {
		return s.Verify(stage, text, at)
	}
	var row tokenRow
	err := s.db.WithContext(ctx).Take(&row, "hash = ? AND stage = ?", hashOf(text), stage).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return nil, ErrNoToken
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrLookup, err)
	case !at.Before(row.ExpiresAt):
		return nil, token.ErrExpired
	}
	return &Token{
		Claims: token.Claims{
			Issuer: issuer.URL, Subject: row.User, Audience: []string{issuer.Audience}, ClientID: row.Client,
			Issued: row.IssuedAt, Expires: row.ExpiresAt, ID: row.ID, Scope: row.Scope,
		},
		Scopes: strings.Fields(row.Scope), id: idOf(row.ID), stage: stage, used: &use{},
	}, nil
}

// Elsewhere is a token that another server has vouched for at a stage, such as by introspection (RFC
// 7662). That it is good is for whoever asked to know.
func Elsewhere(stage string, claims token.Claims) *Token {
	return &Token{Claims: claims, Scopes: strings.Fields(claims.Scope), id: idOf(claims.ID), stage: stage, used: &use{}}
}
