package codes_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/backend/codes"
	"keyladder/internal/store"
	"keyladder/stages/mechanism/pkce"
)

// asked issues a code that was asked for with a challenge.
func asked(t testing.TB, s *codes.Store, method, verifier string) (text string) {
	t.Helper()
	text, err := s.Issue(t.Context(), begin, codes.Code{
		Stage: "one", Client: "app", User: "alice", Scope: "a b", RedirectURI: redirect, Method: method, Challenge: pkce.Challenge(method, verifier),
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	for _, method := range []string{pkce.Plain, pkce.S256} {
		for _, verifier := range []string{pkce.NewVerifier(), strings.Repeat("~", pkce.MaxLength)} {
			s := open(t, database(t), begin)
			p := rightly(asked(t, s, method, verifier))
			p.Verifier = verifier
			code, err := s.Redeem(t.Context(), begin, p, mint)
			if err != nil || code.Method != method || code.Challenge != pkce.Challenge(method, verifier) || code.User != "alice" {
				t.Errorf("%s: %+v, %v", method, code, err)
			}
			var used *codes.UsedError
			if _, err := s.Redeem(t.Context(), begin, p, mint); !errors.As(err, &used) || used.Code.ID != code.ID {
				t.Errorf("%s, a second time: %v", method, err)
			}
		}
	}
}

// TestWrongVerifiersDoNotBurn: who has the code alone can't use it up, nor end what its owner got.
func TestWrongVerifiersDoNotBurn(t *testing.T) {
	t.Parallel()
	verifier := pkce.NewVerifier()
	for name, test := range map[string]struct {
		method   string // of the code; empty: it was asked for without a challenge
		verifier string
		want     error
	}{
		"none":                  {pkce.S256, "", codes.ErrVerifier},
		"another":               {pkce.S256, pkce.NewVerifier(), codes.ErrVerifier},
		"the challenge":         {pkce.S256, pkce.Challenge(pkce.S256, verifier), codes.ErrVerifier},
		"one of plain, none":    {pkce.Plain, "", codes.ErrVerifier},
		"one of plain, another": {pkce.Plain, pkce.NewVerifier(), codes.ErrVerifier},
		"one, and no challenge": {"", verifier, codes.ErrVerifier},
		"in small letters":      {pkce.S256, strings.ToLower(verifier), codes.ErrVerifier},
		"one that is too long":  {pkce.S256, verifier + strings.Repeat("a", 100), codes.ErrVerifier},
		"one with a line feed":  {pkce.S256, verifier + "\n", codes.ErrVerifier},
		"half of it":            {pkce.S256, verifier[:21], codes.ErrVerifier},
		"one of plain, hashed":  {pkce.Plain, pkce.Challenge(pkce.S256, verifier), codes.ErrVerifier},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := database(t)
			s := open(t, db, begin)
			right, wrong := rightly(asked(t, s, test.method, verifier)), codes.Presented{}
			if test.method != "" {
				right.Verifier = verifier
			}
			wrong = right
			wrong.Verifier = test.verifier
			for _, when := range []string{"before", "after"} { // the owner has used it
				if _, err := s.Redeem(t.Context(), begin, wrong, mint); !errors.Is(err, test.want) || errors.Is(err, codes.ErrUsed) {
					t.Errorf("%s: %v, want %v", when, err, test.want)
				}
				if _, err := s.Redeem(t.Context(), begin, right, mint); when == "before" && err != nil {
					t.Errorf("the owner, afterwards: %v", err)
				}
			}
			if n := count(t, db); n != 1 {
				t.Errorf("minted %d times", n)
			}
		})
	}
}

// TestOthersLearnNoVerifier: that another client has the code is said before anything about its
// verifier is.
func TestOthersLearnNoVerifier(t *testing.T) {
	t.Parallel()
	s, verifier := open(t, database(t), begin), pkce.NewVerifier()
	for name, test := range map[string]struct {
		change func(*codes.Presented)
		want   error
	}{
		"another client":       {func(p *codes.Presented) { p.Client = "other" }, codes.ErrClient},
		"another redirect URI": {func(p *codes.Presented) { p.RedirectURI += "/" }, codes.ErrRedirect},
		"another stage":        {func(p *codes.Presented) { p.Stage = "two" }, codes.ErrUnknown},
	} {
		for _, shown := range []string{verifier, pkce.NewVerifier(), ""} {
			p := rightly(asked(t, s, pkce.S256, verifier))
			p.Verifier = shown
			test.change(&p)
			if _, err := s.Redeem(t.Context(), begin, p, mint); !errors.Is(err, test.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestTamperedCodes: no other text stands for a code, be it cut, changed, or put together from two.
func TestTamperedCodes(t *testing.T) {
	t.Parallel()
	s, own, others := open(t, database(t), begin), pkce.NewVerifier(), pkce.NewVerifier()
	mine, theirs := asked(t, s, pkce.S256, own), asked(t, s, pkce.S256, others)
	decoded := func(text string) []byte {
		bits, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return bits
	}
	encoded := base64.RawURLEncoding.EncodeToString
	texts := map[string]string{
		"without the challenge":         encoded(decoded(theirs)[:32]),
		"with the challenge of another": encoded(append(decoded(theirs)[:32:32], decoded(mine)[32:]...)),
		"cut":                           encoded(decoded(theirs)[:40]),
		"with a tail":                   theirs + "AAAA",
		"padded":                        theirs + "=",
		"not base64":                    theirs[:len(theirs)-1] + "*",
	}
	for at := range decoded(theirs) {
		flipped := decoded(theirs)
		flipped[at] ^= 1
		texts[fmt.Sprintf("with a bit flipped at %d", at)] = encoded(flipped)
	}
	for name, text := range texts {
		for _, verifier := range []string{own, others, ""} {
			p := rightly(text)
			p.Verifier = verifier
			if _, err := s.Redeem(t.Context(), begin, p, mint); !errors.Is(err, codes.ErrUnknown) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	p := rightly(theirs)
	p.Verifier = others
	if _, err := s.Redeem(t.Context(), begin, p, mint); err != nil {
		t.Errorf("the owner, afterwards: %v", err)
	}
}

// TestSealed: neither the text nor the database shows a challenge, and two codes with the same one
// do not look alike.
func TestSealed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth.db")
	db := reopen(t, path)
	s, verifier := open(t, db, begin), pkce.NewVerifier()
	one, two := asked(t, s, pkce.Plain, verifier), asked(t, s, pkce.Plain, verifier)
	bits, err := base64.RawURLEncoding.DecodeString(one)
	if err != nil || bytes.Contains(bits, []byte(verifier)) || strings.Contains(one, verifier) || one[43:] == two[43:] {
		t.Errorf("%q and %q, %v", one, two, err)
	}
	if err := store.Close(db); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, path + "-wal"} {
		if content, err := os.ReadFile(file); err == nil && bytes.Contains(content, []byte(verifier)) {
			t.Errorf("%s shows the challenge", filepath.Base(file))
		}
	}
}

// TestKeyOfCodes: servers that begin at once on one database have one key, and a start and a reset
// leave it as it is. With another database it is another.
func TestKeyOfCodes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "auth.db")
	stores := [8]*codes.Store{}
	reopen(t, path) // makes the tables
	var wg sync.WaitGroup
	for i := range stores {
		db := reopen(t, path)
		wg.Go(func() {
			var err error
			stores[i], err = codes.Open(t.Context(), db, codes.Config{Lifetime: time.Minute, Now: func() time.Time { return begin }})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	verifier := pkce.NewVerifier()
	for i, s := range stores {
		p := rightly(asked(t, s, pkce.S256, verifier))
		p.Verifier = verifier
		if _, err := stores[(i+1)%len(stores)].Redeem(t.Context(), begin, p, mint); err != nil {
			t.Errorf("a code of %d: %v", i, err)
		}
	}
	if err := stores[0].Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := rightly(asked(t, stores[0], pkce.S256, verifier))
	p.Verifier = verifier
	if _, err := open(t, reopen(t, path), begin).Redeem(t.Context(), begin, p, mint); err != nil {
		t.Errorf("after a reset and a start: %v", err)
	}
	if _, err := open(t, database(t), begin).Redeem(t.Context(), begin, p, mint); !errors.Is(err, codes.ErrUnknown) {
		t.Errorf("another server: %v", err)
	}
}

// FuzzRedeem: whatever is presented, it is refused as something unknown, and nothing is used up.
func FuzzRedeem(f *testing.F) {
	db := database(f)
	s := open(f, db, begin)
	verifier := pkce.NewVerifier()
	good := asked(f, s, pkce.S256, verifier)
	f.Add(good[:len(good)-1], verifier)
	f.Add(good[:43], "")
	f.Add("", verifier)
	f.Fuzz(func(t *testing.T, text, shown string) {
		if text == good {
			return
		}
		p := rightly(text)
		p.Verifier = shown
		if _, err := s.Redeem(t.Context(), begin, p, mint); !errors.Is(err, codes.ErrUnknown) {
			t.Fatal(err)
		}
	})
}
