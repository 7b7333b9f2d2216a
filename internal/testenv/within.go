package testenv

import (
	"testing"
	"time"
)

// pause is how long [Within] sleeps after a look, and mostCounted how much of both it counts.
const (
	pause       = 5 * time.Millisecond
	mostCounted = 4 * pause
)

// Within waits until something is so, and fails the test when that takes longer than limit. On a
// machine that has other things to do, the looks are held up as much as what is waited for. So a
// look counts for 20 ms at most, however long it takes.
func Within(t testing.TB, limit time.Duration, what string, is func() bool) {
	t.Helper()
	begin, counted := time.Now(), time.Duration(0)
	for look := begin; !is(); look = time.Now() {
		if counted > limit {
			t.Fatalf("%s: not after %v", what, time.Since(begin).Round(time.Millisecond))
		}
		time.Sleep(pause)
		counted += min(time.Since(look), mostCounted)
	}
	t.Logf("%s: after %v", what, time.Since(begin).Round(time.Millisecond))
}
