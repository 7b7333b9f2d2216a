package codes_test

import (
	"errors"
	"testing"

	"gorm.io/gorm"

	"keyladder/backend/codes"
)

// TestBoundCodes are good for the device, and the holder of the key, that have asked for them. Whoever
// presents one with another does not use it up.
func TestBoundCodes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		device, thumbprint string
		want               error
	}{
		"another device": {"tablet", "key", codes.ErrDevice}, "no device": {"", "key", codes.ErrDevice},
		"another key": {"phone", "another", codes.ErrProof}, "no key": {"phone", "", codes.ErrProof},
		"both": {"phone", "key", nil},
	} {
		s := open(t, database(t), begin)
		text, err := s.Issue(t.Context(), begin, codes.Code{
			Stage: "one", Client: "app", User: "alice", Scope: "a", RedirectURI: redirect, Device: "phone", Thumbprint: "key",
		})
		if err != nil {
			t.Fatal(err)
		}
		presented := rightly(text)
		presented.Device, presented.Thumbprint = test.device, test.thumbprint
		if _, err := s.Redeem(t.Context(), begin, presented, mint); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		if test.want == nil {
			continue
		}
		presented.Device, presented.Thumbprint = "phone", "key"
		_, err = s.Redeem(t.Context(), begin, presented, func(_ *gorm.DB, c codes.Code) error {
			if c.Device != "phone" || c.Thumbprint != "key" {
				t.Errorf("%s: it stands for %+v", name, c)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s, and then its owner: %v", name, err)
		}
	}
	s := open(t, database(t), begin)
	presented := rightly(issue(t, s))
	presented.Thumbprint = "key"
	if _, err := s.Redeem(t.Context(), begin, presented, mint); !errors.Is(err, codes.ErrProof) {
		t.Errorf("one of no key, with a key: %v", err)
	}
}
