package refresh_test

import (
	"errors"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/refresh"
)

// TestUse: where nobody rotates, a token is good as often as it is used, for its client alone and until
// its family ends.
func TestUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, family := w.begin(t, "alice")
	use := func(at time.Time, change func(*refresh.Presented)) (times int, err error) {
		p := with(text, "")
		if change != nil {
			change(&p)
		}
		err = w.Use(t.Context(), at, p, func(_ *gorm.DB, f refresh.Family) error {
			if f.ID != family.ID || f.Number != 1 {
				t.Errorf("%+v", f)
			}
			times++
			return nil
		})
		return times, err
	}
	for range 3 {
		if n, err := use(begin.Add(time.Second), nil); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	for name, test := range map[string]struct {
		at     time.Time
		change func(*refresh.Presented)
		want   error
	}{
		"another client": {begin, func(p *refresh.Presented) { p.Client += "2" }, refresh.ErrClient},
		"another stage":  {begin, func(p *refresh.Presented) { p.Stage += "2" }, refresh.ErrUnknown},
		"another text":   {begin, func(p *refresh.Presented) { p.Text += "2" }, refresh.ErrUnknown},
		"too old":        {begin.Add(1000 * time.Hour), nil, refresh.ErrExpired},
	} {
		if n, err := use(test.at, test.change); n != 0 || !errors.Is(err, test.want) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if _, err := w.RevokeByToken(t.Context(), "one", text, "app"); err != nil {
		t.Fatal(err)
	}
	if n, err := use(begin.Add(time.Second), nil); n != 0 || !errors.Is(err, refresh.ErrRevoked) {
		t.Errorf("revoked: %d, %v", n, err)
	}
}
