package codes

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyladder/stages/mechanism/pkce"
)

// keyRow is the key that codes are sealed with. There is one, made when the database is.
type keyRow struct {
	ID  int    `gorm:"primaryKey"`
	Key []byte `gorm:"not null"`
}

func (keyRow) TableName() string { return "authorization_code_keys" }

// keyBytes is the length of the key: AES-256.
const keyBytes = 32

// readKey reads the key, or makes it. Of several that begin at once on one database one makes it,
// and the others read that.
func readKey(tx *gorm.DB) (cipher.AEAD, error) {
	made := keyRow{ID: 1, Key: make([]byte, keyBytes)}
	rand.Read(made.Key) // never fails
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&made).Error; err != nil {
		return nil, err
	}
	var kept keyRow
	if err := tx.Take(&kept, "id = ?", made.ID).Error; err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(kept.Key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block) // good for 2^32 codes
}

// seal makes the text of a code: the random bits, and behind them, encrypted, what it was asked
// for with. A code that was asked for without a challenge is the random bits alone.
//
//keyladder:code code-seal
func (s *Store) seal(bits []byte, c Code) string {
	text := bits
	if c.Method != "" {
		text = s.aead.Seal(text, nil, []byte(c.Method+" "+c.Challenge), bound(bits, c.Stage, c.Client, c.RedirectURI))
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// bound is what a sealed challenge is good with, and with nothing else.
func bound(bits []byte, stage, client, redirectURI string) []byte {
	joined, _ := json.Marshal([]any{bits, stage, client, redirectURI}) // strings and bytes: never fails
	return joined
}

// proven says whether a verifier is the one that the code was asked for with, and what that was.
// It is [ErrVerifier] where one of them is missing, too, and [ErrUnknown] where the code can't be
// opened for the one who presents it.
//
//keyladder:code code-open
func (s *Store) proven(p Presented) (method, challenge string, err error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(p.Text)
	if err != nil || len(text) < codeBytes {
		return "", "", ErrUnknown
	}
	bits, sealed := text[:codeBytes], text[codeBytes:]
	if len(sealed) > 0 {
		opened, err := s.aead.Open(nil, nil, sealed, bound(bits, p.Stage, p.Client, p.RedirectURI))
		if err != nil {
			return "", "", fmt.Errorf("%w: what is sealed into it can't be opened", ErrUnknown)
		}
		method, challenge, _ = strings.Cut(string(opened), " ")
	}
	switch {
	case method == "" && p.Verifier == "", pkce.Verify(method, challenge, p.Verifier):
		return method, challenge, nil
	case method == "":
		return "", "", fmt.Errorf("%w: there was no challenge", ErrVerifier)
	case p.Verifier == "":
		return "", "", fmt.Errorf("%w: there is none", ErrVerifier)
	}
	return "", "", ErrVerifier
}
