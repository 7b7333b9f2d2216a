package refresh_test

import (
	"testing"

	"keyladder/backend/refresh"
)

// TestBoundFamilies belong to the device, and to the holder of the key, with which they were begun.
// Whoever has copied a token can neither use it nor end the family, be it the newest or an old one.
func TestBoundFamilies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, family, err := w.Begin(t.Context(), w.at, refresh.Grant{Stage: "one", User: "alice", Client: "app", Scope: "a", Device: "phone", Thumbprint: "key"})
	if err != nil {
		t.Fatal(err)
	}
	presented := func(text, device, thumbprint string) refresh.Presented {
		p := with(text, "")
		p.Device, p.Thumbprint = device, thumbprint
		return p
	}
	thieves := func(when, text string) {
		for name, test := range map[string]struct {
			device, thumbprint string
			want               error
		}{
			"another device": {"tablet", "key", refresh.ErrDevice}, "another key": {"phone", "another", refresh.ErrProof}, "no key": {"phone", "", refresh.ErrProof},
		} {
			p := presented(text, test.device, test.thumbprint)
			w.refused(t, when+" token, "+name, p, test.want)
			if found, err := w.Peek(t.Context(), w.at, p); err != nil || found != nil {
				t.Errorf("%s token, %s: the family is shown: %v, %v", when, name, found, err)
			}
		}
	}
	thieves("newest", text)
	rotated, err := w.Rotate(t.Context(), w.at, presented(text, "phone", "key"), mint)
	if err != nil || rotated.Family.Thumbprint != "key" || rotated.Family.ID != family.ID {
		t.Fatalf("its holder: %+v, %v", rotated, err)
	}
	thieves("old", text)
	if _, err := w.Rotate(t.Context(), w.at, presented(rotated.Text, "phone", "key"), mint); err != nil {
		t.Errorf("its holder, after the thieves: %v", err)
	}
}
