package makers_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keyladder/attestsvc/history"
	"keyladder/attestsvc/makers"
	"keyladder/internal/manage"
	"keyladder/internal/store"
	"keyladder/stages/mechanism/pin"
)

const (
	root         = "f0"
	plant, other = "a1", "b2"
	system       = pin.Pin("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	free         = pin.Pin("sha256/BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=")
)

var known = makers.Known{
	Roots:         []makers.Certificate{{Serial: root, Name: "the maker"}},
	Intermediates: []makers.Certificate{{Serial: plant, Name: "plant 1"}, {Serial: other, Name: "plant 2"}},
	Systems:       []makers.System{{Key: system, Name: "the maker's"}},
}

func open(t *testing.T, path string) *makers.Store {
	t.Helper()
	db, err := store.Open(path, append(makers.Models(), history.Models()...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	s, err := makers.Open(t.Context(), db, known, func() time.Time { return time.Unix(1_790_000_000, 0) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func happened(events []manage.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.What)
	}
	return strings.Join(all, ", ")
}

// TestRevoking counts at once, and after a restart, and is written down.
func TestRevoking(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s, ctx := open(t, path), t.Context()
	revoke := func(serial string, restore bool) error {
		return s.Revoke(ctx, manage.CertificateToRevoke{Serial: serial, Restore: restore})
	}
	if s.Revoked(plant) || s.Revoked("c3") {
		t.Error("revoked from the beginning")
	}
	for range 2 { // the second time it is so already
		if err := errors.Join(revoke(plant, false), revoke("c3", false)); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, path)
	if !s.Revoked(plant) || !s.Revoked("c3") || s.Revoked(other) {
		t.Error("not revoked, or another one is, after a restart")
	}
	if err := revoke("c3", true); err != nil || s.Revoked("c3") {
		t.Errorf("accepted again: %v", err)
	}
	for serial, want := range map[string]string{plant: "known, revoked", other: "known", "c3": "revoked, accepted again"} {
		found, err := s.Certificate(ctx, serial)
		if err != nil || happened(found.History) != want || found.Maker == (serial == "c3") {
			t.Errorf("%s: %+v, %v", serial, found, err)
		}
	}
	for serial, want := range map[string]error{"": makers.ErrSerial, "A1": makers.ErrSerial, "0a": makers.ErrSerial, "-1": makers.ErrSerial, strings.Repeat("1", 41): makers.ErrSerial} {
		if err := revoke(serial, false); !errors.Is(err, want) || !makers.Refused(err) {
			t.Errorf("%q: %v", serial, err)
		}
	}
	if err := revoke("d4", true); !errors.Is(err, makers.ErrNone) {
		t.Errorf("one that never was revoked: %v", err)
	}
	if _, err := s.Certificate(ctx, "d4"); !errors.Is(err, makers.ErrNone) {
		t.Errorf("and is known: %v", err)
	}
	all, err := s.Certificates(ctx)
	if err != nil || len(all) != 4 || !all[0].Root || all[1].Root || !all[0].Maker || !all[2].Maker || all[3].Maker {
		t.Errorf("%+v, %v", all, err)
	}
	if some, err := s.Certificates(ctx, "c3", "d4", root); err != nil || len(some) != 2 || some[0].Serial != root || some[1].Serial != "c3" {
		t.Errorf("of those that are asked for: %+v, %v", some, err)
	}
	if err := revoke(root, false); err != nil || !s.Revoked(root) {
		t.Errorf("the root is revoked: %v", err)
	}
	if err := s.Reset(ctx); err != nil || s.Revoked(plant) {
		t.Errorf("after a reset: %v", err)
	}
	if found, err := s.Certificate(ctx, plant); err != nil || happened(found.History) != "known" {
		t.Errorf("after a reset: %+v, %v", found, err)
	}
}

func TestSystems(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s, ctx := open(t, path), context.Background()
	change := func(key pin.Pin, withdraw bool) error {
		return s.ChangeSystem(ctx, manage.SystemToAccept{Key: string(key), Name: "a free one", Withdraw: withdraw})
	}
	if !s.Accepts(system) || s.Accepts(free) || s.Accepts("") {
		t.Error("another system is accepted than the maker's, or not that")
	}
	for range 2 {
		if err := errors.Join(change(free, false), change(system, true)); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, path)
	if s.Accepts(system) || !s.Accepts(free) {
		t.Error("after a restart it is as before")
	}
	if err := change(system, false); err != nil || !s.Accepts(system) {
		t.Errorf("accepted again: %v", err)
	}
	all, err := s.Systems(ctx)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	for i, want := range map[int]string{0: "accepted, withdrawn, accepted again", 1: "accepted"} {
		if happened(all[i].History) != want && happened(all[1-i].History) != want {
			t.Errorf("%+v", all)
		}
	}
	if err := change("sha1/x", false); !makers.Refused(err) {
		t.Errorf("no pin: %v", err)
	}
	nameless := manage.SystemToAccept{Key: strings.Replace(string(free), "BBA=", "BBE=", 1)}
	for _, nameless.Name = range []string{"", strings.Repeat("x", 101)} {
		if err := s.ChangeSystem(ctx, nameless); !errors.Is(err, makers.ErrName) || !makers.Refused(err) || s.Accepts(pin.Pin(nameless.Key)) {
			t.Errorf("without a name: %v", err)
		}
	}
	if err := change(pin.Pin(strings.Replace(string(free), "BBA=", "BBE=", 1)), true); !errors.Is(err, makers.ErrNone) {
		t.Errorf("one that is not known: %v", err)
	}
}
