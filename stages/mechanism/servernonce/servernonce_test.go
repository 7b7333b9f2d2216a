package servernonce_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/servernonce"
)

var (
	begin  = time.Unix(1_790_000_040, 0) // of a slot
	source = &servernonce.Source{Key: bytes.Repeat([]byte("k"), 32), Slot: time.Minute}
)

func TestHowLongOneIsGood(t *testing.T) {
	t.Parallel()
	given := source.At(begin.Add(59*time.Second), "dpop", "stage")
	if given != source.At(begin, "dpop", "stage") || len(given) != servernonce.Length {
		t.Errorf("%q is given at the end of a slot, and %q at its beginning", given, source.At(begin, "dpop", "stage"))
	}
	for name, test := range map[string]struct {
		at     time.Duration
		newest bool
		want   error
	}{
		"at once":                    {0, true, nil},
		"at the end of the slot":     {time.Minute - 1, true, nil},
		"in the next slot":           {time.Minute, false, nil},
		"at the end of that":         {2*time.Minute - 1, false, nil},
		"after it":                   {2 * time.Minute, false, servernonce.ErrNotGood},
		"a server that is behind":    {-1, true, nil},
		"one that is too far behind": {-time.Minute - 1, false, servernonce.ErrNotGood},
	} {
		if newest, err := source.Check(given, begin.Add(test.at), "dpop", "stage"); newest != test.newest || !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v", name, newest, err)
		}
	}
}

func TestWhatIsNotGood(t *testing.T) {
	t.Parallel()
	given := source.At(begin, "dpop", "stage")
	another := &servernonce.Source{Key: bytes.Repeat([]byte("o"), 32), Slot: time.Minute}
	for name, text := range map[string]string{
		"nothing":         "",
		"another key":     another.At(begin, "dpop", "stage"),
		"another purpose": source.At(begin, "challenge", "stage"),
		"another stage":   source.At(begin, "dpop", "other"),
		"cut elsewhere":   source.At(begin, "dpops", "tage"),
		"longer":          given + "A",
		"shorter":         given[1:],
		"no base64url":    strings.Repeat("*", servernonce.Length),
		"a line feed":     given[:31] + "\n",
		"changed":         given[:31] + string(given[31]^1),
	} {
		if _, err := source.Check(text, begin, "dpop", "stage"); !errors.Is(err, servernonce.ErrNotGood) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, useless := range map[string]*servernonce.Source{
		"none": nil, "zero": {}, "no slot": {Key: source.Key}, "a key that is too short": {Key: source.Key[:31], Slot: time.Minute},
	} {
		text := useless.At(begin)
		if _, err := useless.Check(text, begin); text != "" || !errors.Is(err, servernonce.ErrNotGood) {
			t.Errorf("%s: gives %q, and says %v", name, text, err)
		}
	}
}
