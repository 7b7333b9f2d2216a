// Package servernonce makes texts that a server gives out, and recognises later without having kept
// them: the nonces of DPoP (RFC 9449, section 8) and the challenges of client attestation. A client that signs
// one of them shows that the signature is not older than it.
//
// A text is the number of a slot of time, and a MAC over it and over what the text is for. It is good
// in its slot and in the next one, so that whoever was given it at the end of a slot has time to use
// it. It says nothing about whether it was used before: that is for a memory to know (package replay),
// and many calls at once may have the same one.
//
// Servers that share a key know each other's. In the slot after next none of them is good.
package servernonce

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"time"
)

// Length is how many characters a text has.
const Length = 32

// Sizes of the parts, in bytes.
const (
	numberSize = 8
	macSize    = 16
)

// ErrNotGood means that a text was not given out for this, or too long ago.
var ErrNotGood = errors.New("it was not given out here, or too long ago")

// Source gives out texts. Its zero value recognises none.
type Source struct {
	Key  []byte        // at least 32 random bytes
	Slot time.Duration // for which, and for as long again, a text is good; whole seconds

	made sync.Map // the texts of the latest slots, by what their MAC is over
}

// usable says whether there is what it takes.
func (s *Source) usable() bool { return s != nil && len(s.Key) >= sha256.Size && s.Slot >= time.Second }

// At is the text of a time: base64url, the same for all of a slot. Purpose says what it is for, such
// as "dpop" and the name of a stage. Empty: the source is the zero value.
//
//keyladder:code servernonce-make
func (s *Source) At(at time.Time, purpose ...string) string {
	if !s.usable() {
		return ""
	}
	return s.text(s.slot(at), purpose)
}

// slot is the number of the slot in which a time is.
func (s *Source) slot(at time.Time) int64 { return at.Unix() / int64(s.Slot/time.Second) }

func (s *Source) text(slot int64, purpose []string) string {
	var room [128]byte
	signed := binary.BigEndian.AppendUint64(room[:0], uint64(slot))
	for _, name := range purpose { // each with its length before it, so that no others give the same
		signed = binary.BigEndian.AppendUint64(signed, uint64(len(name)))
		signed = append(signed, name...)
	}
	if text, ok := s.made.Load(string(signed)); ok {
		return text.(string)
	}
	mac := hmac.New(sha256.New, s.Key)
	mac.Write(signed)
	var both [numberSize + sha256.Size]byte
	copy(both[:], signed[:numberSize])
	mac.Sum(both[:numberSize])
	text := base64.RawURLEncoding.EncodeToString(both[:numberSize+macSize])
	s.forget(slot - 2)
	s.made.Store(string(signed), text)
	return text
}

// forget lets go of the texts of a slot and of those before it.
func (s *Source) forget(latest int64) {
	s.made.Range(func(signed, _ any) bool {
		if int64(binary.BigEndian.Uint64([]byte(signed.(string)))) <= latest {
			s.made.Delete(signed)
		}
		return true
	})
}

// Check says whether a text is good at a time for a purpose: [ErrNotGood] where it is not. One of the
// next slot is good, too: another server, with a clock that is a bit ahead, has given it out. Newest
// is false where the caller should be given another one.
//
//keyladder:code servernonce-check
func (s *Source) Check(text string, at time.Time, purpose ...string) (newest bool, err error) {
	if !s.usable() || len(text) != Length || strings.ContainsAny(text, "\r\n") { // which the decoder skips
		return false, ErrNotGood
	}
	var both [numberSize + macSize]byte
	if _, err := base64.RawURLEncoding.Decode(both[:], []byte(text)); err != nil {
		return false, ErrNotGood
	}
	slot, now := int64(binary.BigEndian.Uint64(both[:numberSize])), s.slot(at)
	if slot < now-1 || slot > now+1 || !hmac.Equal([]byte(text), []byte(s.text(slot, purpose))) {
		return false, ErrNotGood
	}
	return slot >= now, nil
}
