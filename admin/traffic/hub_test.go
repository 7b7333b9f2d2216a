package traffic

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/admin/programs"
	"keyladder/admin/programs/programtest"
	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/traffic"
)

// listening is a hub that hears the programs until the test ends.
func listening(t *testing.T, of ...*programtest.Program) *hub {
	t.Helper()
	names := []deployment.Role{deployment.Resource, deployment.Phone, deployment.Attacker}
	var remotes []programs.Remote
	for i, p := range of {
		remotes = append(remotes, programs.Remote{Role: names[i], Program: p})
	}
	h := newHub(remotes...)
	for _, follower := range h.followers {
		follower.Wait = time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { h.run(ctx); close(done) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("the hub does not stop with its context")
		}
	})
	return h
}

// until waits until the hub holds n records.
func (h *hub) until(t *testing.T, n int) []record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for last := uint64(0); ; {
		if all, _ := h.since(0, ""); len(all) >= n {
			return all
		}
		if _, last = h.await(ctx, last, ""); ctx.Err() != nil {
			all, _ := h.since(0, "")
			t.Fatalf("%d records came, want %d", len(all), n)
		}
	}
}

func summaries(records []record) []string {
	var list []string
	for _, r := range records {
		list = append(list, r.Summary)
	}
	return list
}

func TestHubMergesByTime(t *testing.T) {
	t.Parallel()
	bank, phone := programtest.New("resource"), programtest.New("phone")
	at := time.Unix(1_800_000_000, 0)
	for i := range 5 {
		bank.Traffic().Add(traffic.Message{At: at.Add(time.Duration(2*i) * time.Second), Summary: fmt.Sprint(2 * i)})
		phone.Traffic().Add(traffic.Message{At: at.Add(time.Duration(2*i+1) * time.Second), Summary: fmt.Sprint(2*i + 1)})
	}
	all := listening(t, bank, phone).until(t, 10)
	if got := summaries(all); !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}) {
		t.Errorf("in this order: %v", got)
	}
}

func TestHubHearsARestartedProgram(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(*programtest.Program){
		"after a failure": func(p *programtest.Program) { p.Stop(true); p.Restart(); p.Stop(false) },
		"unnoticed":       func(p *programtest.Program) { p.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			phone := programtest.New("phone")
			h := listening(t, phone)
			for i := range 3 {
				phone.Traffic().Add(traffic.Message{Summary: fmt.Sprint("old ", i)})
			}
			h.until(t, 3)
			restart(phone)
			phone.Traffic().Add(traffic.Message{Summary: "new"})
			all := h.until(t, 4)
			if got := summaries(all); !slices.Equal(got, []string{"old 0", "old 1", "old 2", "new"}) {
				t.Errorf("heard %v", got)
			}
		})
	}
}

// ask reads the next page of each program.
func (h *hub) ask() {
	for _, follower := range h.followers {
		_ = follower.Next(context.Background()) // down tells
	}
}

func TestHubHearsNothingTwice(t *testing.T) {
	t.Parallel()
	phone := programtest.New("phone")
	h := newHub(programs.Remote{Role: deployment.Phone, Program: phone})
	for _, follower := range h.followers {
		follower.Wait = 0
	}
	expect := func(want ...string) {
		t.Helper()
		_, before := h.since(0, "")
		h.ask()
		heard, _ := h.since(before, "")
		if got := summaries(heard); !slices.Equal(got, want) {
			t.Errorf("heard %v, want %v", got, want)
		}
	}
	tell := func(n int, name string) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint(name, i))
			phone.Traffic().Add(traffic.Message{At: time.Unix(int64(i), 0), Stage: "tls", Summary: all[i]})
		}
		return all
	}
	expect()
	expect(tell(2, "a")...)
	expect()
	phone.Stop(true)
	expect()
	phone.Stop(false)
	expect(tell(1, "b")...)
	phone.Traffic().Clear()
	expect()
	expect(tell(1, "c")...)
	phone.Traffic().Clear()
	expect(tell(1, "d")...)
	many := tell(600, "e") // more than the program keeps
	expect(append([]string{"100 messages were dropped before they were read"}, many[100:]...)...)
	expect()
	phone.Restart()
	many = tell(501, "f") // a new process that is past the old number already
	expect(append([]string{"1 message was dropped before it was read"}, many[1:]...)...)
	if shown, _ := h.since(0, "app-id"); len(shown) != 2 || shown[0].Kind != traffic.Note {
		t.Errorf("of a stage that may be among them: %v", summaries(shown))
	}
}

// What is missing is in the lane in which the program's records are.
func TestHubNotesGapsInTheLaneOfTheProgram(t *testing.T) {
	t.Parallel()
	for _, role := range deployment.Managed() {
		want := traffic.Server
		if role == deployment.Phone || role == deployment.Attacker {
			want = traffic.App
		}
		h := newHub()
		h.take(role, feed.Page[traffic.Message]{Cut: 3})
		heard, _ := h.since(0, "")
		if len(heard) != 1 || heard[0].Lane != want || heard[0].Program != string(role) || heard[0].Summary != "3 messages were dropped before they were read" {
			t.Errorf("of %s, in the lane %q and not %q: %v", role, heard[0].Lane, want, heard)
		}
	}
}

// TestHubFollowsThroughAFlood of requests by a stranger, each as large as is recorded, in
// bounded memory.
func TestHubFollowsThroughAFlood(t *testing.T) {
	t.Parallel()
	bank := programtest.New("resource")
	h := listening(t, bank)
	bank.Traffic().Add(traffic.Message{Summary: "before"})
	h.until(t, 1)
	filler := strings.Repeat("\xff", 12_000)
	for range 2100 {
		bank.Traffic().Add(traffic.Message{Head: filler, Verdict: &traffic.Verdict{Check: "user-agent", Reason: filler}})
	}
	bank.Traffic().Add(traffic.Message{Summary: "after"})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for last := uint64(0); ; {
		all, _ := h.since(0, "")
		if all[len(all)-1].Summary == "after" {
			break
		}
		if _, last = h.await(ctx, last, ""); ctx.Err() != nil {
			t.Fatal("what came after the flood is not heard")
		}
	}
	if h.bytes > hubBytes || len(h.down()) > 0 {
		t.Errorf("%d bytes are kept, down: %v", h.bytes, h.down())
	}
}

func TestHubIsBounded(t *testing.T) {
	t.Parallel()
	h := newHub()
	for range 10 {
		h.add(make([]record, hubMessages/5))
	}
	if all, last := h.since(0, ""); len(all) != hubMessages || last != 2*hubMessages {
		t.Errorf("%d records, the last of number %d", len(all), last)
	}
	big := record{Message: traffic.Message{Body: make([]byte, traffic.MaxBody)}}
	for range 3000 {
		h.add([]record{big})
	}
	if h.bytes > hubBytes {
		t.Errorf("%d bytes are kept", h.bytes)
	}
	h.clear()
	if all, _ := h.since(0, ""); len(all) != 0 || h.bytes != 0 {
		t.Errorf("%d records and %d bytes after clearing", len(all), h.bytes)
	}
	if _, ok := h.get(1); ok {
		t.Error("a dropped record is found")
	}
}

func TestHubSaysWhoIsSilent(t *testing.T) {
	t.Parallel()
	bank, phone := programtest.New("resource"), programtest.New("phone")
	of := []programs.Remote{{Role: deployment.Resource, Program: bank}, {Role: deployment.Phone, Program: phone}}
	h := newHub(of...)
	phone.Stop(true)
	h.ask()
	if down := h.down(); !slices.Equal(down, []deployment.Role{deployment.Phone}) {
		t.Errorf("silent: %v", down)
	}
	phone.Stop(false)
	h.followers[1].Wait = 0
	h.followers[0].Wait = 0
	h.ask()
	if down := h.down(); len(down) != 0 {
		t.Errorf("still silent: %v", down)
	}
}
