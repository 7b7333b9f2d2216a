package codes

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyladder/internal/store"
)

// Errors of [Store.Redeem]. At the token endpoint each of them is invalid_grant (RFC 6749,
// section 5.2).
var (
	ErrUnknown  = errors.New("there is no such authorization code at this stage, or no longer")
	ErrClient   = errors.New("the authorization code was issued to another client")
	ErrRedirect = errors.New("the redirect URI is not that of the authorization request")
	ErrVerifier = errors.New("the code verifier is not the one that the authorization code was asked for with")
	ErrDevice   = errors.New("the authorization code was asked for on another device")
	ErrProof    = errors.New("the authorization code was asked for by the holder of another key")
	ErrUsed     = errors.New("the authorization code was redeemed before")
	ErrExpired  = errors.New("the authorization code is too old")
)

// UsedError is [ErrUsed], with the code: what carries its ID as the origin has to end.
type UsedError struct{ Code Code }

// Error is the text of [ErrUsed].
func (*UsedError) Error() string { return ErrUsed.Error() }

// Is makes it [ErrUsed].
func (*UsedError) Is(target error) bool { return target == ErrUsed }

// Code is what an authorization code stands for.
type Code struct {
	ID     string // not the code, nor made from it: the origin of what is minted from it. Empty: [Store.Issue] makes it
	Stage  string
	Client string
	User   string // the resource owner, who allowed it
	Scope  string // with spaces between
	// RedirectURI is as the authorization request had it. Empty: it had none, and then the
	// token request must have none.
	RedirectURI string
	Device      string // the installation that it was asked for on; empty: any
	Thumbprint  string // of the key whose holder has asked for it (RFC 9449, section 10); empty: it is bound to none
	// Challenge and Method are those of the authorization request (package pkce), with a syntax that
	// was checked. They are in the code and not in the database. Empty: it had none, and then the
	// token request must have no verifier.
	Challenge, Method string
	// Defended says that what is switched on against stolen codes is for this one: see
	// [Store.SetDefences]. Address is where its user has signed in from (RFC 7239, section 6).
	Defended bool
	Address  string
}

// Presented is what a client sends to redeem a code.
type Presented struct {
	Stage       string
	Text        string // the code
	Client      string // that was authenticated, or at least named
	RedirectURI string // empty: there was none
	Device      string // the installation, where that is known
	Thumbprint  string // of the key that the client has proven to hold; empty: none
	Verifier    string // code_verifier; empty: there was none
	Defended    bool   // as in [Code]
	Address     string // where the app is, as somebody says who is believed; empty: nobody does
}

// Config is what a store needs.
type Config struct {
	Lifetime time.Duration    // of a code; 10 minutes at most are recommended (RFC 6749, section 4.1.2)
	Kept     time.Duration    // for how long a second use is recognised; 0: a day
	Now      func() time.Time // nil: the clock
}

// row is an authorization code in the database.
type row struct {
	ID          string    `gorm:"primaryKey"`
	Hash        []byte    `gorm:"not null;uniqueIndex"` // SHA-256 of the code
	Stage       string    `gorm:"not null"`
	Client      string    `gorm:"not null"`
	User        string    `gorm:"not null;index"`
	Scope       string    `gorm:"not null"`
	RedirectURI string    `gorm:"not null"`
	Device      string    `gorm:"not null;default:''"`
	Thumbprint  string    `gorm:"not null;default:''"`
	IssuedAt    time.Time `gorm:"not null;index"`
	UsedAt      *time.Time
	Address     string `gorm:"not null;default:''"`
}

func (row) TableName() string { return "authorization_codes" }

// Models are the table of codes, that of the key that they are sealed with, and that of what is
// switched on against stolen ones.
func Models() []any { return []any{&row{}, &keyRow{}, &defences{}} }

func (r row) code() Code {
	return Code{ID: r.ID, Stage: r.Stage, Client: r.Client, User: r.User, Scope: r.Scope, RedirectURI: r.RedirectURI, Device: r.Device, Thumbprint: r.Thumbprint}
}

// Store is the authorization codes of one server. It is safe for concurrent use.
type Store struct {
	db      *gorm.DB
	writers *store.Group
	aead    cipher.AEAD
	config  Config
}

// Open opens the codes in a database that has [Models]' tables.
func Open(ctx context.Context, db *gorm.DB, config Config) (*Store, error) {
	if config.Lifetime <= 0 {
		return nil, errors.New("authorization codes need a lifetime")
	}
	if config.Kept == 0 {
		config.Kept = 24 * time.Hour
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Store{db: db, writers: store.NewGroup(db), config: config}
	err := s.writers.Write(ctx, func(tx *gorm.DB) (err error) {
		s.aead, err = readKey(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the key of authorization codes: %w", err)
	}
	return s, nil
}

// codeBytes makes guessing a code as likely as 2^-256 (RFC 6749, section 10.10, wants 2^-160).
const codeBytes = 32

// Issue makes a code: 256 random bits in base64url, without padding, and behind them what is sealed
// into it. It is kept nowhere.
//
//keyladder:code code-issue
func (s *Store) Issue(ctx context.Context, at time.Time, c Code) (text string, err error) {
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		text, err = s.IssueIn(tx, at, c)
		return err
	})
	return text, err
}

// IssueIn is [Store.Issue] in a transaction on the store's database.
func (s *Store) IssueIn(tx *gorm.DB, at time.Time, c Code) (text string, err error) {
	var bits [codeBytes]byte
	rand.Read(bits[:]) // never fails
	text = s.seal(bits[:], c)
	r := row{
		ID: cmp.Or(c.ID, rand.Text()), Hash: digest(text), Stage: c.Stage, Client: c.Client, User: c.User, Scope: c.Scope,
		RedirectURI: c.RedirectURI, Device: c.Device, Thumbprint: c.Thumbprint, IssuedAt: at.UTC(), Address: c.Address,
	}
	if c.Defended {
		on, err := readDefences(tx)
		if err == nil && on.Newest {
			err = cancelOlder(tx, r)
		}
		if err != nil {
			return "", fmt.Errorf("issue an authorization code: %w", err)
		}
	}
	if err := tx.Create(&r).Error; err != nil {
		return "", fmt.Errorf("issue an authorization code: %w", err)
	}
	return text, nil
}

func digest(text string) []byte {
	hash := sha256.Sum256([]byte(text))
	return hash[:]
}

// Redeem claims a code, and then has mint make what the client gets for it, with tx, in the
// same transaction. An error of mint is returned as it is, and the code was not used then.
//
// Other errors are those above, in the order in which they are looked for, or one of the
// database. With a [UsedError] the caller has to end what carries the code's ID as its origin:
// it is in the database by then, all of it.
func (s *Store) Redeem(ctx context.Context, at time.Time, p Presented, mint func(tx *gorm.DB, c Code) error) (Code, error) {
	method, challenge, unproven := s.proven(p)
	var code Code
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		if unproven != nil {
			return s.refusal(tx, p, defences{}, unproven)
		}
		var on defences
		if p.Defended {
			var err error
			if on, err = readDefences(tx); err != nil {
				return fmt.Errorf("redeem an authorization code: %w", err)
			}
		}
		claimed, err := s.claim(tx, at.UTC(), p, on)
		if err != nil {
			return fmt.Errorf("redeem an authorization code: %w", err)
		}
		if claimed == nil {
			return s.refusal(tx, p, on, nil)
		}
		code = claimed.code()
		code.Method, code.Challenge = method, challenge
		return mint(tx, code)
	})
	if err != nil {
		return Code{}, err
	}
	return code, nil
}

// claim marks a code as used, if it is good for the one who presents it. One statement decides
// and marks: of many who come at once, one gets the row.
//
//keyladder:code code-claim
func (s *Store) claim(tx *gorm.DB, at time.Time, p Presented, on defences) (*row, error) {
	var claimed []row
	err := tx.Raw(`UPDATE authorization_codes SET used_at = ?
		WHERE hash = ? AND stage = ? AND client = ? AND redirect_uri = ? AND device = ? AND thumbprint = ?
		AND used_at IS NULL AND issued_at > ? AND issued_at <= ? AND (? = '' OR address = ?) RETURNING *`,
		at, digest(p.Text), p.Stage, p.Client, p.RedirectURI, p.Device, p.Thumbprint, at.Add(-s.lifetime(on)), at, p.compared(on), p.compared(on)).Scan(&claimed).Error
	if err != nil || len(claimed) == 0 {
		return nil, err
	}
	return &claimed[0], nil
}

// refusal says why a code could not be claimed. An error is given where its owner was not proven.
func (s *Store) refusal(tx *gorm.DB, p Presented, on defences, unproven error) error {
	var found row
	err := tx.Take(&found, "hash = ? AND stage = ?", digest(p.Text), p.Stage).Error
	switch {
	case errors.Is(err, gorm.ErrRecordNotFound):
		return ErrUnknown
	case err != nil:
		return fmt.Errorf("redeem an authorization code: %w", err)
	case found.Client != p.Client:
		return ErrClient
	case found.RedirectURI != p.RedirectURI:
		return ErrRedirect
	case unproven != nil:
		return unproven
	case found.Device != p.Device:
		return ErrDevice
	case found.Thumbprint != p.Thumbprint:
		return ErrProof
	case p.compared(on) != "" && found.Address != p.compared(on):
		return ErrAddress
	case found.UsedAt != nil:
		return &UsedError{found.code()}
	}
	return ErrExpired
}

// Owner says whose codes are meant; what is empty does not matter.
type Owner struct{ Stage, User, Client string }

// Cancel takes back the codes that were not redeemed yet, and says how many those were. It is
// for when a user withdraws a consent: call it before the tokens are ended that came of it, so
// that no further ones come.
func (s *Store) Cancel(ctx context.Context, of Owner) (cancelled int, err error) {
	err = s.writers.Write(ctx, func(tx *gorm.DB) error {
		query := tx.Where("used_at IS NULL")
		for column, value := range map[string]string{"stage": of.Stage, "user": of.User, "client": of.Client} {
			if value != "" {
				query = query.Where(column+" = ?", value)
			}
		}
		deleted := query.Delete(&row{})
		cancelled = int(deleted.RowsAffected)
		return deleted.Error
	})
	if err != nil {
		return 0, fmt.Errorf("cancel authorization codes: %w", err)
	}
	return cancelled, nil
}

// Forget removes codes whose second use need not be recognised any more. Call it now and then.
func (s *Store) Forget(ctx context.Context) error {
	before := s.config.Now().UTC().Add(-max(s.config.Kept, s.config.Lifetime))
	err := s.writers.Write(ctx, func(tx *gorm.DB) error { return tx.Where("issued_at < ?", before).Delete(&row{}).Error })
	if err != nil {
		return fmt.Errorf("forget authorization codes: %w", err)
	}
	return nil
}

// Reset removes all codes, and switches off what was switched on.
func (s *Store) Reset(ctx context.Context) error {
	err := s.writers.Write(ctx, func(tx *gorm.DB) error {
		return errors.Join(tx.Where("1 = 1").Delete(&row{}).Error, tx.Where("1 = 1").Delete(&defences{}).Error)
	})
	if err != nil {
		return fmt.Errorf("remove the authorization codes: %w", err)
	}
	return nil
}
