package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		after string
		times int // that the bank refuses
		calls int // that it gets
		ok    bool
	}{
		{"soon", "1", 1, 2, true},
		{"still too early", "0", 2, 2, false},
		{"too late", "11", 1, 1, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			var refusals atomic.Int32
			b.bank.Answer(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
				if int(refusals.Add(1)) <= test.times {
					w.Header().Set("Retry-After", test.after)
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusTooManyRequests)
					fmt.Fprint(w, `{"type":"urn:keyladder:problem:rate-limited","title":"Too many calls","detail":"Wait a moment.","status":429}`)
					return true
				}
				return false
			})
			start := time.Now()
			screen := shown(t)(b.launch(t, "app-id").Transfer(t.Context(), payment()))
			if screen.OK != test.ok || len(b.bank.Calls()) != test.calls {
				t.Errorf("%d calls, %+v", len(b.bank.Calls()), screen)
			}
			if !screen.OK && screen.Error != "Too many calls. Wait a moment." {
				t.Errorf("the user is told %q", screen.Error)
			}
			if test.ok && time.Since(start) < time.Second {
				t.Error("it did not wait")
			}
			if calls := b.bank.Arrived(); len(calls) == 2 && calls[0].Header.Get(traffic.Header) == calls[1].Header.Get(traffic.Header) {
				t.Error("two calls under one exchange")
			}
		})
	}
}

func TestRetryAfterField(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		value string
		want  time.Duration
	}{
		{"3", 3 * time.Second},
		{"0", time.Millisecond},
		{now.Add(5 * time.Second).Format(http.TimeFormat), 5 * time.Second},
		{now.Add(-time.Minute).Format(http.TimeFormat), time.Millisecond},
		{"", time.Second},
		{"-1", time.Second},
		{"soon", time.Second},
	} {
		if got := retryAfter(test.value, now); got != test.want {
			t.Errorf("%q: got %v, want %v", test.value, got, test.want)
		}
	}
}

// toldTime is what the bank answers at a time to any copy of the app whose clock is an hour
// slow.
func (b *bench) toldTime(t *testing.T, at time.Time) string {
	t.Helper()
	client := hawk.Client{Credentials: hawk.Credentials{ID: "harbour-mobile", Key: b.settings.SharedSecret}, Host: "bank", Port: 443}
	r := httptest.NewRequest(http.MethodGet, "/hmac/v1/accounts", nil)
	if _, err := client.Sign(r, nil, "", at.Add(-time.Hour)); err != nil {
		t.Error(err)
	}
	bank := hawk.Verifier{
		Host: "bank", Port: 443,
		Lookup: func(string) (string, error) { return b.settings.SharedSecret, nil },
	}
	_, err := bank.Verify(r, nil, at)
	_, told := hawk.Refusal(err)
	return told
}

func TestClock(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.bank.SetClock(2 * time.Hour)
	app := b.launch(t, "hmac")
	requests := func() int {
		n := 0
		for _, m := range b.log.After(0) {
			if m.Lane == traffic.App && m.Kind == traffic.Request {
				n++
			}
		}
		return n
	}
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK {
		t.Fatalf("the first: %+v", screen)
	}
	if n := requests(); n != 3 { // registered, once more with the right time, and the transfer
		t.Errorf("%d requests for the first call", n)
	}
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK || requests() != 4 {
		t.Errorf("the second: %d requests, %+v", requests(), screen)
	}
	// When the server's clock is set back, a payment is refused, and not made again: the
	// refusal might be anybody's.
	b.bank.SetClock(0)
	screen := shown(t)(app.Transfer(t.Context(), payment()))
	if screen.OK || requests() != 5 || !strings.Contains(screen.Error, "goes by the bank's clock") || !strings.Contains(screen.Error, "before you pay again") {
		t.Errorf("when the server's clock is set back: %d requests, %+v", requests(), screen)
	}
	if screen := shown(t)(app.Transfer(t.Context(), payment())); !screen.OK || requests() != 6 {
		t.Errorf("after that: %d requests, %+v", requests(), screen)
	}
	// What can be asked for twice is.
	b.bank.SetClock(2 * time.Hour)
	if screen := shown(t)(app.Accounts(t.Context())); !screen.OK || requests() != 8 {
		t.Errorf("accounts: %d requests, %+v", requests(), screen)
	}
}

// TestSomebodyElsesTime has an attacker tell the time, to collect signatures for it.
func TestSomebodyElsesTime(t *testing.T) {
	t.Parallel()
	tomorrow := time.Now().Add(24 * time.Hour).Unix()
	for _, test := range []struct {
		name, told string
		check      catalog.Check
	}{
		{"made up", fmt.Sprintf(`Hawk ts="%d", tsm="b3c=", error="Stale timestamp"`, tomorrow), "server-mac"},
		{"without a MAC", fmt.Sprintf(`Hawk ts="%d", error="Stale timestamp"`, tomorrow), "server-mac"},
		{"no time at all", `Hawk error="Stale timestamp"`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			app := b.launch(t, "hmac")
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Fatalf("%+v", screen)
			}
			calls := 0
			b.bank.ChangeAnswers(func(r *http.Response, _ []byte) []byte {
				calls++
				r.StatusCode = http.StatusUnauthorized
				r.Header = http.Header{"Www-Authenticate": {test.told}}
				return nil
			})
			screen := shown(t)(app.Accounts(t.Context()))
			if screen.OK || screen.Check != test.check || calls != 1 {
				t.Errorf("%d calls, %+v", calls, screen)
			}
			b.bank.ChangeAnswers(nil)
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Errorf("the clock was set: %+v", screen)
			}
		})
	}
}
