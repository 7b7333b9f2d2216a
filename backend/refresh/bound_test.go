package refresh_test

import (
	"testing"

	"keyladder/backend/refresh"
)

// TestBoundFamilies belong to the device, and to the holder of the key, with which they were begun.
// Whoever has copied the newest token can neither use it nor end the family. One that was used ends
// it, and is no lost answer, whatever idempotency key comes with it.
func TestBoundFamilies(t *testing.T) {
	t.Parallel()
	for name, thief := range map[string]struct {
		device, thumbprint string
		want               error
	}{
		"another device": {"tablet", "key", refresh.ErrDevice},
		"another key":    {"phone", "another", refresh.ErrProof},
		"no key":         {"phone", "", refresh.ErrProof},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first, family, err := w.Begin(t.Context(), w.at, refresh.Grant{Stage: "one", User: "alice", Client: "app", Scope: "a", Device: "phone", Thumbprint: "key"})
			if err != nil {
				t.Fatal(err)
			}
			presented := func(text, device, thumbprint string) refresh.Presented {
				p := with(text, key)
				p.Device, p.Thumbprint = device, thumbprint
				return p
			}
			copied := func(what, text string, want error) {
				p := presented(text, thief.device, thief.thumbprint)
				if found, err := w.Peek(t.Context(), w.at, p); err != nil || found != nil {
					t.Errorf("%s: the family is shown: %v, %v", what, found, err)
				}
				w.refused(t, what, p, want)
			}
			copied("the newest", first, thief.want)
			rotated, err := w.Rotate(t.Context(), w.at, presented(first, "phone", "key"), mint)
			if err != nil || rotated.Family.Thumbprint != "key" || rotated.Family.ID != family.ID {
				t.Fatalf("its holder: %+v, %v", rotated, err)
			}
			copied("the next", rotated.Text, thief.want)
			if again, err := w.Rotate(t.Context(), w.at, presented(first, "phone", "key"), mint); err != nil || again.Text != rotated.Text {
				t.Errorf("a lost answer to its holder: %+v, %v", again, err)
			}
			copied("one that was used", first, refresh.ErrReused)
			w.refused(t, "the newest of its holder", presented(rotated.Text, "phone", "key"), refresh.ErrRevoked)
			if found := w.family(t, family.ID); found.RevokedAt == nil || !found.Reused {
				t.Errorf("%+v", found)
			}
		})
	}
}
