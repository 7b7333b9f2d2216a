package servernonce

import (
	"bytes"
	"testing"
	"time"
)

// TestForgets makes sure that no more texts are remembered than those of the latest slots.
func TestForgets(t *testing.T) {
	t.Parallel()
	source := &Source{Key: bytes.Repeat([]byte("k"), 32), Slot: time.Minute}
	begin := time.Unix(1_790_000_040, 0)
	for minute := range 100 {
		source.At(begin.Add(time.Duration(minute)*time.Minute), "dpop")
		source.At(begin.Add(time.Duration(minute)*time.Minute), "challenge")
	}
	number := 0
	source.made.Range(func(any, any) bool { number++; return true })
	if number != 4 {
		t.Errorf("%d texts are remembered, of 100 slots with two purposes; want those of two slots", number)
	}
}
