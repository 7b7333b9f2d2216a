package users

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keyladder/internal/testenv"
)

// elsewhere is one of many places of attackers: each a device of its own, at its own address.
func elsewhere(i int) Origin {
	return Origin{Device: fmt.Sprint("stranger-", i), Address: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
}

// try makes one attempt and says for how long nobody is to try again; 0: it was tried.
func try(t *testing.T, d *Directory, at time.Time, from Origin, name, password string) time.Duration {
	t.Helper()
	_, err := d.SignIn(context.Background(), at, from, name, password)
	var throttled *ThrottledError
	if errors.As(err, &throttled) {
		return throttled.Until.Sub(at)
	}
	if want := password == right; (err == nil) != want || !want && !errors.Is(err, ErrPassword) && !errors.Is(err, ErrUnknown) {
		t.Fatal(err)
	}
	return 0
}

func guess(t *testing.T, d *Directory, at time.Time, from Origin, name string) time.Duration {
	t.Helper()
	return try(t, d, at, from, name, "guess")
}

// signIn signs in without having to wait.
func signIn(t *testing.T, d *Directory, at time.Time, from Origin, name string) {
	t.Helper()
	if wait := try(t, d, at, from, name, right); wait != 0 {
		t.Fatalf("%s has to wait for %s on %s", name, wait, from.Device)
	}
}

// quick replaces the hashes, for tests with many attempts.
func quick(d *Directory) *Directory {
	d.verify = func(password, _ string) (bool, error) { return password == right, nil }
	return d
}

// TestDelaysDouble follows attackers who try again as soon as possible.
func TestDelaysDouble(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		from func(i int) Origin
		want string
	}{
		{"from one address", func(int) Origin { return mallory }, "[1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 8m32s 17m4s 34m8s 1h0m0s 1h0m0s]"},
		{"from one address, on many devices", func(i int) Origin {
			return Origin{Device: fmt.Sprint("stranger-", i), Address: mallory.Address}
		}, "[1s 2s 4s 8s 16s 32s 1m4s 2m8s 4m16s 8m32s 17m4s 34m8s 1h0m0s 1h0m0s]"},
		{"from many addresses", elsewhere, "[1s 2s 4s 8s 16s 32s 1m4s 2m0s 2m0s 2m0s 2m0s 2m0s 2m0s 2m0s]"},
		{"from many addresses, on one device", func(i int) Origin {
			return Origin{Device: mallory.Device, Address: elsewhere(i).Address}
		}, "[1s 2s 4s 8s 16s 32s 1m4s 2m0s 2m0s 2m0s 2m0s 2m0s 2m0s 2m0s]"},
	} {
		for _, name := range []string{"alice", "nobody"} { // both are slowed down, or the difference would tell
			d := quick(directory(t))
			at := begin
			var delays []time.Duration
			for i := 0; len(delays) < 14; i++ {
				wait := guess(t, d, at, test.from(i), name)
				if wait == 0 {
					continue
				}
				delays = append(delays, wait)
				at = at.Add(wait)
				if again := guess(t, d, at, test.from(i), name); again != 0 {
					t.Fatalf("%s, %s: the attempt after %s waits for %s", name, test.name, wait, again)
				}
			}
			if got := fmt.Sprint(delays); got != test.want {
				t.Errorf("%s, %s: %s, want %s", name, test.name, got, test.want)
			}
		}
	}
}

// TestThrottledAttemptsAreNotTried: neither is the password looked at, nor does the attempt
// make anybody wait longer.
func TestThrottledAttemptsAreNotTried(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for range ofStranger.free + 1 {
		guess(t, d, begin, mallory, "alice")
	}
	d.verify = func(string, string) (bool, error) {
		t.Error("a password was checked")
		return true, nil
	}
	for range 50 {
		if wait := try(t, d, begin, mallory, "alice", right); wait != firstDelay {
			t.Errorf("wait for %s", wait)
		}
	}
}

// TestOneAddressKeepsNobodyOut has an attacker ask every second, from one address and on
// ever new devices. Now and then the victim has a new phone, at a new address, and tries
// every ten seconds.
func TestOneAddressKeepsNobodyOut(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	d := quick(directory(t))
	var phone Origin
	tries, guesses := 0, 0
	for second := range 24 * 60 * 60 {
		at := begin.Add(time.Duration(second) * time.Second)
		if guess(t, d, at, Origin{Device: fmt.Sprint("stranger-", second), Address: mallory.Address}, "alice") == 0 {
			guesses++
		}
		if second%3600 == 50 {
			phone, tries = Origin{Device: fmt.Sprint("new-", second), Address: netip.AddrFrom4([4]byte{203, 0, 114, byte(second / 3600)})}, 0
		}
		if phone.Device == "" || second%10 != 0 {
			continue
		}
		if try(t, d, at, phone, "alice", right) == 0 {
			phone = Origin{}
		} else if tries++; tries > 12 {
			t.Fatalf("after %s the new phone is kept out for two minutes and more", at.Sub(begin))
		}
	}
	if guesses > 24+18 {
		t.Errorf("%d guesses in a day", guesses)
	}
}

// TestFamiliarDevicesAreNeverKeptOut has attackers ask every second from everywhere, the
// victim's own address included, across a restart of the server.
func TestFamiliarDevicesAreNeverKeptOut(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "users.db")
	d := quick(resume(t, path))
	signIn(t, d, begin, on("hers"), "alice")
	guesses := 0
	const day = 24 * 60 * 60
	for second := range day {
		at := begin.Add(time.Duration(second) * time.Second)
		from := elsewhere(second)
		if second%2 == 0 {
			from.Address = home
		}
		if guess(t, d, at, from, "alice") == 0 {
			guesses++
		}
		if second == day/2+100 { // long before she signs in again
			d = quick(resume(t, path))
		}
		if second%1800 == 0 { // at home and on the road
			signIn(t, d, at, on("hers"), "alice")
			signIn(t, d, at, Origin{Device: "hers", Address: elsewhere(second / 1800).Address}, "alice")
		}
	}
	if guesses > 760 { // one every two minutes, and the free ones of two servers
		t.Errorf("%d guesses in a day", guesses)
	}
	// A new phone has to wait for as long as it goes on, and the admin can help.
	after := begin.Add(day * time.Second)
	if guess(t, d, after.Add(-time.Second), elsewhere(0), "alice") == 0 || try(t, d, after, on("new"), "alice", right) == 0 {
		t.Error("it was not under way")
	}
	d.Clear("alice")
	signIn(t, d, after, on("new"), "alice")
}

// TestGuessesADay counts what is tried of one guess every second. How fast an attacker
// changes addresses after those that are slow enough for strangers makes no difference.
func TestGuessesADay(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	for name, test := range map[string]struct {
		from func(second int) Origin
		most int
	}{
		"one address":         {func(int) Origin { return mallory }, 24 + 18},
		"one address per day": {func(second int) Origin { return elsewhere(second / 86400) }, 24 + 18},
		"thirty addresses":    {func(second int) Origin { return elsewhere(second % 30) }, 720 + 20},
		"all addresses":       {elsewhere, 720 + 20},
		"the victim's device": {func(int) Origin { return on("hers") }, 96 + 16},
	} {
		d := quick(directory(t))
		signIn(t, d, begin, on("hers"), "alice")
		tried := [2]int{}
		for second := range 2 * 86400 {
			if guess(t, d, begin.Add(time.Duration(second)*time.Second), test.from(second), "alice") == 0 {
				tried[second/86400]++
			}
		}
		if tried[0] > test.most || tried[1] > test.most || tried[1] == 0 {
			t.Errorf("%s: %d guesses, then %d, want at most %d", name, tried[0], tried[1], test.most)
		}
	}
}

// TestInventedNamesAreThrottledLikeUsers: the same attempts, mixed in all kinds, get the
// same answers, and so they do after the counts were flushed out.
func TestInventedNamesAreThrottledLikeUsers(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	d := quick(directory(t))
	at := begin
	mixed := func(name string) []time.Duration {
		var waits []time.Duration
		for i := range 200 {
			from := elsewhere(i % 7)
			if i%3 == 0 {
				from.Address = home
			}
			waits = append(waits, guess(t, d, at.Add(time.Duration(i)*3*time.Second), from, name))
		}
		return waits
	}
	if user, invented := mixed("alice"), mixed("nobody"); !slices.Equal(user, invented) {
		t.Errorf("%v and %v", user, invented)
	}
	for i := range maxCounts {
		if _, err := d.throttle.begin(at, fmt.Sprint("name-", i), Origin{Address: elsewhere(i).Address}); err != nil {
			t.Fatal(err)
		}
	}
	user, invented := mixed("alice"), mixed("nobody")
	if !slices.Equal(user, invented) {
		t.Errorf("after others: %v and %v", user, invented)
	}
}

// TestFamiliar is about what is, and for whom.
func TestFamiliar(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "users.db")
	d := quick(resume(t, path))
	atHome := Origin{Address: home} // at a stage that knows no devices
	signIn(t, d, begin, on("hers"), "alice")
	signIn(t, d, begin, atHome, "carol")
	for i := range 20 {
		for _, name := range []string{"alice", "bob", "carol"} {
			guess(t, d, begin, elsewhere(i), name)
			guess(t, d, begin, on("stranger"), name)
		}
	}
	for range 2 {
		for _, test := range []struct {
			what, name string
			from       Origin
			familiar   bool
		}{
			{"the device", "alice", on("hers"), true},
			{"the device elsewhere", "alice", Origin{Device: "hers", Address: elsewhere(99).Address}, true},
			{"another device at its address", "alice", on("new"), false},
			{"its address without a device", "alice", atHome, false},
			{"another user's device", "bob", on("hers"), false},
			{"the address", "carol", atHome, true},
			{"a device at the address", "carol", on("hers"), false},
			{"another address", "carol", Origin{Address: elsewhere(99).Address}, false},
		} {
			_, err := d.throttle.begin(begin, test.name, test.from)
			if (err == nil) != test.familiar {
				t.Errorf("%s: %v", test.what, err)
			}
		}
		d = quick(resume(t, path)) // where the counts are gone
		for i := range 20 {
			for _, name := range []string{"alice", "bob", "carol"} {
				guess(t, d, begin, elsewhere(i), name)
				guess(t, d, begin, on("stranger"), name)
			}
		}
	}
}

// TestFamiliarDevicesAreThrottledToo: guesses on the victim's own device.
func TestFamiliarDevicesAreThrottledToo(t *testing.T) {
	t.Parallel()
	d := directory(t)
	signIn(t, d, begin, on("hers"), "alice")
	tried := 0
	for range 50 {
		if guess(t, d, begin, on("hers"), "alice") == 0 {
			tried++
		}
	}
	if tried != ofFamiliar.free+1 {
		t.Errorf("%d guesses", tried)
	}
	signIn(t, d, begin, on("another"), "alice") // they count there alone
	signIn(t, d, begin.Add(firstDelay), on("hers"), "alice")
	if guess(t, d, begin.Add(firstDelay), on("hers"), "alice") != 0 {
		t.Error("a success did not clear the count of what it has proven")
	}
}

// TestFamiliarPlacesAreBounded: the one that was used the longest time ago goes, in memory
// and in the database.
func TestFamiliarPlacesAreBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "users.db")
	d := quick(resume(t, path))
	signIn(t, d, begin, on("bob's"), "bob")
	for i := range MaxFamiliar + 5 {
		at := begin.Add(time.Duration(i) * time.Minute)
		signIn(t, d, at, Origin{Device: fmt.Sprint(i), Address: elsewhere(i).Address}, "alice")
		signIn(t, d, at.Add(time.Second), on("0"), "alice")
	}
	for range 2 {
		for device, want := range map[string]bool{"0": true, "1": false, "5": false, "6": true, fmt.Sprint(MaxFamiliar + 4): true} {
			if got := d.throttle.familiarWith("alice", on(device)) != nil; got != want {
				t.Errorf("device %s is familiar: %v", device, got)
			}
		}
		if d.throttle.familiarWith("bob", on("bob's")) == nil {
			t.Error("another user's device was dropped")
		}
		d = resume(t, path)
	}
	var rows int64
	if err := d.db.Model(&row{}).Where("name = ?", "alice").Count(&rows).Error; err != nil || rows != MaxFamiliar {
		t.Errorf("%d rows, %v", rows, err)
	}
}

// TestNotWritten: what would be forgotten by a restart is not acknowledged.
func TestNotWritten(t *testing.T) {
	t.Parallel()
	d := directory(t)
	db, err := d.db.DB()
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if user, err := d.SignIn(context.Background(), begin, on("hers"), "alice", right); err == nil || user != nil {
		t.Errorf("%v, %v", user, err)
	}
	if d.throttle.familiarWith("alice", on("hers")) != nil || d.List(begin)[0].FailedSignIns != 0 {
		t.Error("familiar, or counted as a failure")
	}
}

// TestSuccessDoesNotClearTheCount, neither the victim's for an attacker, nor that of the
// address for one who has an account.
func TestSuccessDoesNotClearTheCount(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for i := range ofStrangers.free {
		guess(t, d, begin, elsewhere(i), "alice")
	}
	for _, device := range []string{"hers", "hers", "another"} {
		signIn(t, d, begin, on(device), "alice")
	}
	guess(t, d, begin, elsewhere(100), "alice")
	if wait := guess(t, d, begin, elsewhere(101), "alice"); wait == 0 {
		t.Error("the victim's sign-in gave the attacker new attempts")
	}

	d = directory(t)
	tried := 0
	for i := range 100 {
		if guess(t, d, begin, mallory, fmt.Sprint("name-", i)) == 0 {
			tried++
		}
		d.SignIn(context.Background(), begin, mallory, "bob", right) // the attacker's own account
	}
	if tried != ofAddress.free+1 {
		t.Errorf("%d names were tried from one address", tried)
	}
}

func TestCountsAreForgotten(t *testing.T) {
	t.Parallel()
	d := directory(t)
	for range ofStranger.free + 1 {
		guess(t, d, begin, mallory, "alice")
	}
	later := begin.Add(forgetAfter + time.Second)
	for range ofStranger.free + 1 {
		if wait := guess(t, d, later, mallory, "alice"); wait != 0 {
			t.Errorf("wait for %s", wait)
		}
	}
}

// TestClear forgets what counts against one user, and nothing else.
func TestClear(t *testing.T) {
	t.Parallel()
	d := quick(directory(t))
	signIn(t, d, begin, on("hers"), "alice")
	waits := func() (waits []bool) {
		for _, a := range []struct {
			name string
			from Origin
		}{{"alice", on("hers")}, {"alice", on("new")}, {"alice", elsewhere(1)}, {"bob", on("new")}} {
			_, err := d.throttle.begin(begin, a.name, a.from)
			waits = append(waits, err != nil)
		}
		return waits
	}
	for i := range 40 {
		guess(t, d, begin, on("hers"), "alice")
		guess(t, d, begin, elsewhere(i%2), "alice")
		guess(t, d, begin, elsewhere(i), "alice")
		guess(t, d, begin, elsewhere(i), "bob")
	}
	if got := waits(); !slices.Equal(got, []bool{true, true, true, true}) {
		t.Fatalf("before: %v", got)
	}
	d.Clear("alice")
	if list := d.List(begin); list[0].FailedSignIns != 0 || list[0].ThrottledUntil != nil || list[1].FailedSignIns == 0 {
		t.Errorf("%+v", list)
	}
	if got := waits(); !slices.Equal(got, []bool{false, false, false, true}) {
		t.Errorf("after: %v", got)
	}
	if d.throttle.familiarWith("alice", on("hers")) == nil {
		t.Error("the device is not familiar any more")
	}
	d.Clear("nobody")
	if err := d.Reset(context.Background()); err != nil {
		t.Fatal(err)
	}
	if d.throttle.familiarWith("alice", on("hers")) != nil || d.List(begin)[1].FailedSignIns != 0 {
		t.Error("a reset has left something")
	}
}

func TestAddressesOfOneSubscriber(t *testing.T) {
	t.Parallel()
	d := directory(t)
	tried := 0
	for i := range 100 {
		from := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1))
		if guess(t, d, begin, Origin{Address: from}, fmt.Sprint("name-", i)) == 0 {
			tried++
		}
	}
	if tried != ofAddress.free+1 {
		t.Errorf("%d attempts from one /64", tried)
	}
}

// TestMemoryIsBounded makes up names and addresses. Attempts that are refused take no memory.
func TestMemoryIsBounded(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	throttle := newThrottle()
	for i := range maxCounts / 2 {
		if _, err := throttle.begin(begin, fmt.Sprint("name-", i), Origin{Address: elsewhere(i).Address}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(throttle.strange.entries); n != maxCounts || throttle.strange.order.Len() != n {
		t.Errorf("%d counts", n)
	}
	throttle = newThrottle()
	for i := range 1000 {
		_, _ = throttle.begin(begin, fmt.Sprint("name-", i), mallory)
	}
	if n := len(throttle.strange.entries); n != 2*(ofAddress.free+1)+1 {
		t.Errorf("%d counts of attempts from one address", n)
	}
}
