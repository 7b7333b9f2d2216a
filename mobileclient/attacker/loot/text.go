package loot

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"
)

// Shared secrets are texts of this length, as far as anybody would make them.
const (
	minSecret = 16
	maxSecret = 128
)

// Bounds on what is kept. They are far above what a running app holds.
const (
	maxTexts = 1 << 18 // texts that could hold a secret
	maxText  = 1 << 12 // bytes of one
)

// Texts are pieces of bytes that could hold a secret because of the characters in them, each
// once. They know no place and no name.
type Texts map[string]struct{}

// Collect takes the texts out of a piece of bytes.
func (t Texts) Collect(data []byte) {
	for text := range runs(data, minSecret) {
		if len(t) < maxTexts {
			t[string(text[:min(len(text), maxText)])] = struct{}{}
		}
	}
}

// LikeSecrets are the texts that look most like secrets, best first: letters and digits, and
// many different ones.
func (t Texts) LikeSecrets() []string {
	candidates := slices.DeleteFunc(slices.Sorted(maps.Keys(t)), func(text string) bool {
		return len(text) < 2*minSecret || len(text) > maxSecret ||
			!strings.ContainsAny(text, "0123456789") || different(text) < len(text)/3
	})
	slices.SortStableFunc(candidates, func(a, b string) int { return cmp.Compare(variety(b), variety(a)) })
	return candidates
}

// variety is how many different characters a text has, for its length: longer texts
// have more of them by chance.
func variety(text string) float64 {
	return float64(different(text)) / math.Sqrt(float64(len(text)))
}

// different is how many different characters a text has.
func different(text string) int {
	var seen [256]bool
	count := 0
	for _, c := range []byte(text) {
		if !seen[c] {
			seen[c] = true
			count++
		}
	}
	return count
}

// minEncoded is how long a key in base64 or hexadecimal is at least, with what it says
// about itself.
const minEncoded = 100

// Decoded is what the long texts in the data decode to.
func Decoded(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for text := range runs(data, minEncoded) {
			trimmed := strings.TrimRight(string(text), "=")
			for _, decode := range []func(string) ([]byte, error){
				hex.DecodeString, base64.RawStdEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
			} {
				if decoded, err := decode(trimmed); err == nil && !yield(decoded) {
					return
				}
			}
		}
	}
}

// encoding is what secrets are written with: hexadecimal, base32, base64 and its form
// for URLs are all in it.
var encoding = func() (alphabet [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-") {
		alphabet[c] = true
	}
	return alphabet
}()

// runs are the longest texts in the data that consist of characters of an encoding and
// have at least so many of them.
func runs(data []byte, atLeast int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for at := 0; at < len(data); at++ {
			start := at
			for at < len(data) && encoding[data[at]] {
				at++
			}
			if at-start >= atLeast && !yield(data[start:at]) {
				return
			}
		}
	}
}
