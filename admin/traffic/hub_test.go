package traffic

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"keyladder/admin/programs"
	"keyladder/admin/programs/programtest"
	"keyladder/internal/traffic"
)

// listening is a hub that hears the programs until the test ends.
func listening(t *testing.T, of ...*programtest.Program) *hub {
	t.Helper()
	names := []programs.Name{programs.Resource, programs.Phone, programs.Station}
	var remotes []programs.Remote
	for i, p := range of {
		remotes = append(remotes, programs.Remote{Name: names[i], Program: p})
	}
	h := newHub(remotes...)
	h.wait = time.Second
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

func TestHubHearsNothingTwice(t *testing.T) {
	t.Parallel()
	phone := programtest.New("phone")
	program := programs.Remote{Name: programs.Phone, Program: phone}
	h := newHub(program)
	h.wait = 0
	ctx := context.Background()
	heard := listener{}
	expect := func(broken bool, want ...string) {
		t.Helper()
		messages, err := h.next(ctx, program, &heard, broken)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range messages {
			got = append(got, m.Summary)
		}
		if !slices.Equal(got, want) {
			t.Errorf("heard %v, want %v", got, want)
		}
	}
	expect(false)
	phone.Traffic().Add(traffic.Message{Summary: "a"})
	phone.Traffic().Add(traffic.Message{Summary: "b"})
	expect(false, "a", "b")
	expect(false)
	expect(true)
	phone.Traffic().Add(traffic.Message{Summary: "c"})
	expect(true, "c")
	phone.Traffic().Clear()
	expect(false)
	phone.Traffic().Add(traffic.Message{Summary: "d"})
	expect(false, "d")
	phone.Traffic().Clear()
	expect(true)
	phone.Traffic().Add(traffic.Message{Summary: "e"})
	expect(true, "e")
	for i := range 600 { // more than the program keeps
		phone.Traffic().Add(traffic.Message{Summary: fmt.Sprint(i)})
	}
	messages, err := h.next(ctx, program, &heard, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(messages) != 500 || messages[499].Summary != "599" {
		t.Errorf("heard %d after the log went over", len(messages))
	}
	expect(true)
	phone.Restart()
	for i := range 700 { // a new process that is past the old number already
		phone.Traffic().Add(traffic.Message{Summary: fmt.Sprint("new ", i)})
	}
	if messages, err = h.next(ctx, program, &heard, true); err != nil || len(messages) != 500 {
		t.Errorf("heard %d of a new process, %v", len(messages), err)
	}
}

func TestHubIsBounded(t *testing.T) {
	t.Parallel()
	h := newHub()
	for range 10 {
		h.add(make([]traffic.Message, hubMessages/5))
	}
	if all, last := h.since(0, ""); len(all) != hubMessages || last != 2*hubMessages {
		t.Errorf("%d records, the last of number %d", len(all), last)
	}
	big := traffic.Message{Body: make([]byte, traffic.MaxBody)}
	for range 3000 {
		h.add([]traffic.Message{big})
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
	of := []programs.Remote{{Name: programs.Resource, Program: bank}, {Name: programs.Phone, Program: phone}}
	h := newHub(of...)
	h.wait = 0
	ask := func() {
		for _, program := range of {
			_, err := h.next(context.Background(), program, &listener{}, false)
			h.heard(program.Name, err)
		}
	}
	phone.Stop(true)
	ask()
	if down := h.down(); !slices.Equal(down, []programs.Name{programs.Phone}) {
		t.Errorf("silent: %v", down)
	}
	phone.Stop(false)
	ask()
	if down := h.down(); len(down) != 0 {
		t.Errorf("still silent: %v", down)
	}
}
