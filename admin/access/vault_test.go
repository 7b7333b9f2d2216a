package access

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyladder/internal/store"
)

var lives = Lifetimes{Idle: 2 * time.Hour, Absolute: 12 * time.Hour}

func TestPasswordsAreNotTooShort(t *testing.T) {
	t.Parallel()
	db, err := store.Open(filepath.Join(t.TempDir(), "admin.db"), Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(db)
	if _, _, err := newVault(db, time.Now, lives, passwordCost).setUp("short"); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("error: %v", err)
	}
}

// A password that nobody can type is refused, rather than that nobody can sign in.
func TestPasswordsWithControlCharacters(t *testing.T) {
	t.Parallel()
	db, err := store.Open(filepath.Join(t.TempDir(), "admin.db"), Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(db)
	for _, password := range []string{"a good one, twelve\r", "a good one, twelve\n", "a good\tone, twelve", "a good one\x00, twelve", "a good one\u0085, twelve"} {
		if _, _, err := newVault(db, time.Now, lives, passwordCost).setUp(password); err == nil || !strings.Contains(err.Error(), "control character") || strings.Contains(err.Error(), "good") {
			t.Errorf("%q: error %v", password, err)
		}
	}
}

func TestFormTokensFollowFromACookie(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cookie, token string
		want          bool
	}{
		"its own":          {"a cookie", formToken("a cookie"), true},
		"another cookie's": {"a cookie", formToken("another"), false},
		"the cookie":       {"a cookie", "a cookie", false},
		"no cookie":        {"", formToken(""), false},
		"none":             {"a cookie", "", false},
	} {
		if got := formTokenFits(test.cookie, test.token); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A session outlives that the machine goes to another time zone, where another one is opened.
func TestSessionsInAnotherZone(t *testing.T) {
	t.Parallel()
	db, err := store.Open(filepath.Join(t.TempDir(), "admin.db"), Tables()...)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(db)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	in := func(zone string, hours int, later time.Duration) *vault {
		return newVault(db, func() time.Time { return at.Add(later).In(time.FixedZone(zone, hours*3600)) }, lives, passwordCost)
	}
	token, _, err := in("Honolulu", -10, 0).open("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	tokyo := in("Tokyo", 9, time.Second)
	if _, _, err := tokyo.open("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	if _, live, err := tokyo.find(token, true); !live || err != nil {
		t.Errorf("the session from Honolulu is live: %v, %v", live, err)
	}
	late := in("Honolulu", -10, lives.Idle+2*time.Second)
	if _, _, err := late.open("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	var left int64
	if err := db.Model(&session{}).Count(&left).Error; err != nil || left != 1 {
		t.Errorf("%d sessions are kept after the idle time, %v", left, err)
	}
}
