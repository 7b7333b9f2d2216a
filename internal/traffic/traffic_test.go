package traffic

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"keyladder/internal/feed"
)

func TestLogKeepsTheLatest(t *testing.T) {
	t.Parallel()
	log := New("resource", 4)
	for i := range 10 {
		log.Add(Message{Summary: fmt.Sprint(i + 1)})
	}
	for _, tt := range []struct {
		after uint64
		want  string
	}{
		{0, "[7 8 9 10]"},
		{5, "[7 8 9 10]"},
		{8, "[9 10]"},
		{10, "[]"},
		{99, "[]"},
	} {
		var got []string
		for _, m := range log.After(tt.after) {
			if fmt.Sprint(m.Seq) != m.Summary || m.Program != "resource" {
				t.Errorf("message %q has seq %d, program %q", m.Summary, m.Seq, m.Program)
			}
			got = append(got, m.Summary)
		}
		if fmt.Sprint(got) != tt.want {
			t.Errorf("after %d: %v, want %s", tt.after, got, tt.want)
		}
	}
}

func TestLogCutsBodies(t *testing.T) {
	t.Parallel()
	log := New("resource", 1)
	log.Add(Message{Body: bytes.Repeat([]byte("x"), 64*MaxBody), Size: 64 * MaxBody})
	if m := log.After(0)[0]; len(m.Body) != MaxBody || m.Size != 64*MaxBody || cap(m.Body) > 2*MaxBody {
		t.Errorf("body of %d in an array of %d, size %d", len(m.Body), cap(m.Body), m.Size)
	}
}

// What strangers write into a head, a path or a field that a reason quotes does not
// fill the memory.
func TestLogCutsText(t *testing.T) {
	t.Parallel()
	log := New("resource", 1)
	verdict := &Verdict{Check: "user-agent", Reason: strings.Repeat("é", MaxHead)}
	log.Add(Message{Head: strings.Repeat("x", MaxHead+1), Summary: strings.Repeat("x", MaxHead), Verdict: verdict})
	m := log.After(0)[0]
	for what, tt := range map[string]struct {
		text string
		most int
	}{"head": {m.Head, MaxHead}, "summary": {m.Summary, maxLine}, "reason": {m.Verdict.Reason, maxLine}} {
		if len(tt.text) > tt.most || len(tt.text) < tt.most-4 || !utf8.ValidString(tt.text) || !strings.HasSuffix(tt.text, "…") {
			t.Errorf("%s: %d bytes, want up to %d: …%q", what, len(tt.text), tt.most, tt.text[len(tt.text)-8:])
		}
	}
	if len(verdict.Reason) != 2*MaxHead || m.Verdict.Check != "user-agent" {
		t.Error("the caller's verdict was changed, or the check was lost")
	}
}

func TestClearGoesOnCounting(t *testing.T) {
	t.Parallel()
	log := New("resource", 8)
	log.Add(Message{})
	log.Add(Message{})
	log.Clear()
	if got := log.After(0); len(got) != 0 {
		t.Errorf("%d messages after Clear", len(got))
	}
	log.Add(Message{})
	if got := log.After(2); len(got) != 1 || got[0].Seq != 3 {
		t.Errorf("after Clear: %+v", got)
	}
}

func TestReadAsAFeed(t *testing.T) {
	t.Parallel()
	log := New("resource", 4)
	for i := range 6 {
		log.Add(Message{Summary: fmt.Sprint(i + 1)})
	}
	page, err := log.Read(t.Context(), feed.Cursor{}, time.Minute)
	if err != nil || page.Cut != 2 || len(page.Entries) != 4 {
		t.Fatalf("%+v, %v", page, err)
	}
	for _, m := range page.Entries {
		if fmt.Sprint(m.Seq) != m.Summary {
			t.Errorf("message %q has seq %d", m.Summary, m.Seq)
		}
	}
	if page.Next != log.End() {
		t.Errorf("next is %v, the end %v", page.Next, log.End())
	}
}

func TestLogIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	log := New("resource", 16)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				log.Add(Message{})
				log.After(log.Last() / 2)
			}
		})
	}
	wg.Wait()
	if log.Last() != 800 {
		t.Errorf("last is %d, want 800", log.Last())
	}
}

func TestNilLogRecordsNothing(t *testing.T) {
	t.Parallel()
	var log *Log
	log.Add(Message{})
}
