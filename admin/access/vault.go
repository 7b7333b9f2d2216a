package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/text/unicode/norm"
	"gorm.io/gorm"
)

const (
	seenEvery = time.Minute // how exactly the last use of a session is written down

	shortestPassword = 8
	longestPassword  = 1024 // bytes
)

// passwordCost is what OWASP's Password Storage Cheat Sheet asks for.
var passwordCost = &argon2id.Params{Memory: 19456, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// admin is the one account of this UI.
type admin struct {
	ID        uint `gorm:"primaryKey"`
	Hash      string
	ChangedAt time.Time
}

// session is a signed-in browser. The token itself is known to the browser alone.
type session struct {
	Hash      string `gorm:"primaryKey"` // SHA-256 of the token, hex
	CreatedAt time.Time
	SeenAt    time.Time
	Address   string
}

// name tells sessions apart in the audit log.
func (s session) name() string { return s.Hash[:8] }

// Lifetimes say how long admin sessions last.
type Lifetimes struct {
	Idle     time.Duration // without use
	Absolute time.Duration // in any case
}

// vault keeps the password and the sessions.
type vault struct {
	db    *gorm.DB
	now   func() time.Time
	lives Lifetimes
	cost  *argon2id.Params
	slots chan struct{} // hashing takes 19 MiB: so many at once
}

func newVault(db *gorm.DB, now func() time.Time, lives Lifetimes, cost *argon2id.Params) *vault {
	return &vault{db: db, now: now, lives: lives, cost: cost, slots: make(chan struct{}, 2)}
}

// setUp makes sure that there is a password. It returns the one that it made, or "" where
// there was one, and whether the given one replaced another.
func (v *vault) setUp(given string) (made string, replaced bool, err error) {
	if given != "" && utf8.RuneCountInString(given) < shortestPassword {
		return "", false, fmt.Errorf("the admin's password (ADMIN_PASSWORD) has fewer than %d characters", shortestPassword)
	}
	if len(given) > longestPassword {
		return "", false, fmt.Errorf("the admin's password (ADMIN_PASSWORD) has more than %d bytes", longestPassword)
	}
	if strings.ContainsFunc(given, unicode.IsControl) {
		return "", false, errors.New("the admin's password (ADMIN_PASSWORD) has a control character in it, such as the end of a line, which nobody can type: set it without")
	}
	given = normalized(given)
	var stored admin
	err = v.db.First(&stored).Error
	first := errors.Is(err, gorm.ErrRecordNotFound)
	if err != nil && !first {
		return "", false, fmt.Errorf("read the admin's password: %w", err)
	}
	switch {
	case first && given == "":
		made = makePassword()
		given = made
	case given == "":
		return "", false, nil
	case !first:
		same, err := argon2id.ComparePasswordAndHash(given, stored.Hash)
		if err != nil {
			return "", false, fmt.Errorf("read the admin's password: %w", err)
		}
		if same {
			return "", false, nil
		}
		replaced = true
	}
	hash, err := argon2id.CreateHash(given, v.cost)
	if err != nil {
		return "", false, fmt.Errorf("hash the admin's password: %w", err)
	}
	err = v.db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Save(&admin{ID: 1, Hash: hash, ChangedAt: v.now()}).Error; err != nil {
			return err
		}
		return tx.Where("1 = 1").Delete(&session{}).Error // they were opened with the old password
	})
	if err != nil {
		return "", false, fmt.Errorf("store the admin's password: %w", err)
	}
	if replaced {
		slog.Info("the admin's password was replaced by the one in ADMIN_PASSWORD, and all sessions were ended")
	}
	return made, replaced, nil
}

// normalized is a password in one form, as the same letter can be typed as one character or as
// two (Unicode's NFC; RFC 8265, section 4.2, has it so).
func normalized(password string) string { return norm.NFC.String(password) }

// makePassword is 125 random bits, in groups that can be read aloud.
func makePassword() string {
	text := strings.ToLower(rand.Text())
	var groups []string
	for i := 0; i < 25; i += 5 {
		groups = append(groups, text[i:i+5])
	}
	return strings.Join(groups, "-")
}

// check compares a password with the stored one.
func (v *vault) check(password string) (bool, error) {
	var stored admin
	if err := v.db.First(&stored).Error; err != nil {
		return false, fmt.Errorf("read the admin's password: %w", err)
	}
	if len(password) > longestPassword {
		return false, nil
	}
	v.slots <- struct{}{}
	defer func() { <-v.slots }()
	return argon2id.ComparePasswordAndHash(normalized(password), stored.Hash)
}

// open starts a session and returns its token.
func (v *vault) open(address string) (string, session, error) {
	token := randomToken()
	now := v.now()
	s := session{Hash: tokenHash(token), CreatedAt: now, SeenAt: now, Address: address}
	err := v.db.Transaction(func(tx *gorm.DB) error {
		dead := tx.Where("seen_at < ? OR created_at < ?", now.Add(-v.lives.Idle), now.Add(-v.lives.Absolute))
		if err := dead.Delete(&session{}).Error; err != nil {
			return err
		}
		return tx.Create(&s).Error
	})
	if err != nil {
		return "", session{}, fmt.Errorf("start a session: %w", err)
	}
	return token, s, nil
}

// find returns the live session of a token. Active says whether a person is behind the
// request: what a page asks for by itself does not keep a session alive.
func (v *vault) find(token string, active bool) (session, bool, error) {
	if token == "" {
		return session{}, false, nil
	}
	var found []session // Find, as no session is no error
	if err := v.db.Where("hash = ?", tokenHash(token)).Limit(1).Find(&found).Error; err != nil {
		return session{}, false, fmt.Errorf("look for the session: %w", err)
	}
	if len(found) == 0 {
		return session{}, false, nil
	}
	s, now := found[0], v.now()
	if now.Sub(s.SeenAt) > v.lives.Idle || now.Sub(s.CreatedAt) > v.lives.Absolute {
		return session{}, false, v.end(s)
	}
	if active && now.Sub(s.SeenAt) >= seenEvery {
		if err := v.db.Model(&s).Update("seen_at", now).Error; err != nil {
			return session{}, false, fmt.Errorf("keep the session: %w", err)
		}
	}
	return s, true, nil
}

func (v *vault) end(s session) error {
	if err := v.db.Delete(&session{Hash: s.Hash}).Error; err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	return nil
}

// randomToken is 256 random bits.
func randomToken() string {
	var token [32]byte
	_, _ = rand.Read(token[:]) // never fails
	return hex.EncodeToString(token[:])
}

func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// formToken is what forms of the browser with this cookie carry. It follows from the
// cookie, which another site cannot read, and does not give it away.
func formToken(cookie string) string {
	mac := hmac.New(sha256.New, []byte(cookie))
	mac.Write([]byte("keyladder form"))
	return hex.EncodeToString(mac.Sum(nil))
}

func formTokenFits(cookie, token string) bool {
	return cookie != "" && hmac.Equal([]byte(formToken(cookie)), []byte(token))
}
