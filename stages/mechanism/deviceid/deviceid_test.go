package deviceid_test

import (
	"errors"
	"net/http"
	"testing"

	"keyladder/stages/mechanism/deviceid"
)

func TestBothHalves(t *testing.T) {
	t.Parallel()
	h := http.Header{"Device-Id": {"before"}}
	deviceid.Set(h, "a phone", "a guid")
	identifier, guid, err := deviceid.From(h)
	if identifier != "a phone" || guid != "a guid" || err != nil {
		t.Errorf("got %q, %q, %v", identifier, guid, err)
	}
}

func TestFromRefuses(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.Header{
		"nothing":         {},
		"no GUID":         {"Device-Id": {"a"}},
		"no identifier":   {"Device-Guid": {"b"}},
		"two identifiers": {"Device-Id": {"a", "a"}, "Device-Guid": {"b"}},
		"two GUIDs":       {"Device-Id": {"a"}, "Device-Guid": {"b", "c"}},
	} {
		if identifier, guid, err := deviceid.From(h); !errors.Is(err, deviceid.ErrFields) || identifier != "" || guid != "" {
			t.Errorf("%s: got %q, %q, %v", name, identifier, guid, err)
		}
	}
}
