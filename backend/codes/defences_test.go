package codes_test

import (
	"errors"
	"testing"
	"time"

	"keyladder/backend/codes"
	"keyladder/internal/manage"
)

const home, away = "for=192.0.2.1", "for=192.0.2.2"

// defended issues a code that the defences are for.
func defended(t testing.TB, s *codes.Store, at time.Time, user string) codes.Presented {
	t.Helper()
	text, err := s.Issue(t.Context(), at, codes.Code{Stage: "one", Client: "app", User: user, Scope: "a", RedirectURI: redirect, Defended: true, Address: home})
	if err != nil {
		t.Fatal(err)
	}
	p := rightly(text)
	p.Defended, p.Address = true, home
	return p
}

// TestDefences: each refuses what it is for and nothing else, from the moment on at which it is
// switched on, and is off at first.
func TestDefences(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		on       manage.CodeDefences
		later    time.Duration // when the thief comes
		again    string        // who signs in meanwhile
		from     string
		want     error
		wantsOff error // what it is when all is off
	}{
		"at once":                            {from: home},
		"at once, a shorter life":            {on: manage.CodeDefences{LifetimeSeconds: 5}, later: 4 * time.Second, from: home},
		"late, a shorter life":               {on: manage.CodeDefences{LifetimeSeconds: 5}, later: 5 * time.Second, from: home, want: codes.ErrExpired},
		"too late anyway":                    {on: manage.CodeDefences{LifetimeSeconds: 600}, later: time.Minute, from: home, want: codes.ErrExpired, wantsOff: codes.ErrExpired},
		"the newest alone":                   {on: manage.CodeDefences{Newest: true}, later: time.Second, from: home},
		"the newest, after the same user":    {on: manage.CodeDefences{Newest: true}, later: time.Second, again: "alice", from: home, want: codes.ErrUnknown},
		"the newest, after another user":     {on: manage.CodeDefences{Newest: true}, later: time.Second, again: "bob", from: home},
		"the same address":                   {on: manage.CodeDefences{Fingerprint: true}, from: home},
		"another address":                    {on: manage.CodeDefences{Fingerprint: true}, from: away, want: codes.ErrAddress},
		"an address that nobody speaks for":  {on: manage.CodeDefences{Fingerprint: true}, from: ""},
		"another address, and it is too old": {on: manage.CodeDefences{Fingerprint: true, LifetimeSeconds: 1}, later: time.Second, from: away, want: codes.ErrAddress},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, database(t), begin)
			for _, on := range []bool{false, true} {
				set, want := manage.CodeDefences{}, test.wantsOff
				if on {
					set, want = test.on, test.want
				}
				if err := s.SetDefences(t.Context(), set); err != nil {
					t.Fatal(err)
				}
				if got, err := s.Defences(t.Context()); err != nil || got != set {
					t.Fatalf("%+v, %v", got, err)
				}
				p := defended(t, s, begin, "alice")
				p.Address = test.from
				if test.again != "" {
					defended(t, s, begin, test.again)
				}
				if _, err := s.Redeem(t.Context(), begin.Add(test.later), p, mint); !errors.Is(err, want) {
					t.Errorf("on %v: %v, want %v", on, err, want)
				}
			}
			if err := s.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Defences(t.Context()); err != nil || got != (manage.CodeDefences{}) {
				t.Errorf("after a reset: %+v, %v", got, err)
			}
		})
	}
}

// TestDefencesAreNotForAll: codes that are bound to something are as they were.
func TestDefencesAreNotForAll(t *testing.T) {
	t.Parallel()
	s := open(t, database(t), begin)
	if err := s.SetDefences(t.Context(), manage.CodeDefences{LifetimeSeconds: 1, Newest: true, Fingerprint: true}); err != nil {
		t.Fatal(err)
	}
	p := rightly(issue(t, s))
	issue(t, s)
	p.Address = away
	if _, err := s.Redeem(t.Context(), begin.Add(30*time.Second), p, mint); err != nil {
		t.Error(err)
	}
}
