package attestation_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"keyladder/stages/mechanism/attestation"
)

// noise is a package of random bytes, the same for each seed.
func noise(seed uint64, size int64) []byte {
	var key [32]byte
	key[0] = byte(seed)
	data := make([]byte, size)
	rand.NewChaCha8(key).Read(data)
	return data
}

// TestMeasure with the vectors of FIPS 180-4: "abc" and the empty message.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]attestation.Measurement{
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	} {
		got, err := attestation.Measure(strings.NewReader(text))
		if err != nil || got != want || !attestation.Equal(got, want) {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	one, _ := attestation.Measure(strings.NewReader("a"))
	other, _ := attestation.Measure(strings.NewReader("b"))
	if attestation.Equal(one, other) || attestation.Equal("", "") || attestation.Equal(one[:10], one[:10]) {
		t.Error("what is not equal is taken for it")
	}
	if _, err := attestation.Measure(broken{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a package that can't be read: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error)          { return 0, io.ErrClosedPipe }
func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// TestAnswerIsWhatIsWritten: the digest is the one that the package comment describes, computed
// here by other means.
func TestAnswerIsWhatIsWritten(t *testing.T) {
	t.Parallel()
	pkg := []byte("0123456789")
	c := attestation.Challenge{Nonce: bytes.Repeat([]byte{7}, 32), Ranges: []attestation.Range{{Offset: 2, Length: 3}, {Offset: 8, Length: 4}}}
	mac := hmac.New(sha256.New, c.Nonce)
	mac.Write([]byte("keyladder attestation 1\n"))
	mac.Write([]byte{0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 4})
	mac.Write([]byte{1 | 16})
	mac.Write([]byte("2348901")) // the second goes on at the beginning
	got, err := c.Answer(bytes.NewReader(pkg), 10, attestation.Findings{Traced: true, Intercepted: true})
	if err != nil || !bytes.Equal(got, mac.Sum(nil)) {
		t.Errorf("%x, want %x, %v", got, mac.Sum(nil), err)
	}
}

// TestAnswersDiffer in everything that they are over.
func TestAnswersDiffer(t *testing.T) {
	t.Parallel()
	const size = 10_000
	pkg := noise(1, size)
	c, err := attestation.NewChallenge(size, 8, 512)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Answer(bytes.NewReader(pkg), size, attestation.Findings{})
	if err != nil {
		t.Fatal(err)
	}
	fits := func(c attestation.Challenge, pkg []byte, f attestation.Findings) bool {
		ok, err := c.Fits(answer, bytes.NewReader(pkg), size, f)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if !fits(c, pkg, attestation.Findings{}) {
		t.Error("the right answer does not fit")
	}
	other := attestation.Challenge{Nonce: bytes.Clone(c.Nonce), Ranges: c.Ranges}
	other.Nonce[0]++
	reordered := attestation.Challenge{Nonce: c.Nonce, Ranges: append(append([]attestation.Range{}, c.Ranges[1:]...), c.Ranges[0])}
	changed := bytes.Clone(pkg)
	changed[c.Ranges[3].Offset]++
	for name, wrong := range map[string]bool{
		"another nonce":   fits(other, pkg, attestation.Findings{}),
		"another order":   fits(reordered, pkg, attestation.Findings{}),
		"another byte":    fits(c, changed, attestation.Findings{}),
		"another finding": fits(c, pkg, attestation.Findings{Unlocked: true}),
	} {
		if wrong {
			t.Errorf("%s fits", name)
		}
	}
}

func TestFindingsAreCodedOneByOne(t *testing.T) {
	t.Parallel()
	for want, f := range map[byte]attestation.Findings{
		0: {}, 1: {Traced: true}, 2: {Injected: true}, 4: {Unlocked: true}, 8: {OtherSigner: true}, 16: {Intercepted: true},
		31: {Traced: true, Injected: true, Unlocked: true, OtherSigner: true, Intercepted: true},
	} {
		if got := f.Code(); got != want {
			t.Errorf("%+v is %d, want %d", f, got, want)
		}
	}
}

// TestEveryByteHasTheSameChance, the first and the last as well: a chi-squared test over how often
// each is asked for.
func TestEveryByteHasTheSameChance(t *testing.T) {
	t.Parallel()
	const size, length, tries = 64, 5, 40_000
	var asked [size]float64
	for range tries {
		c, err := attestation.NewChallenge(size, 1, length)
		if err != nil {
			t.Fatal(err)
		}
		asked[c.Ranges[0].Offset]++ // of the beginnings alone, which do not depend on each other
	}
	var sum float64
	for _, n := range asked {
		const expected = float64(tries) / size
		sum += (n - expected) * (n - expected) / expected
	}
	if sum > 140 { // with 63 degrees of freedom that is more than 1 in 10 million
		t.Errorf("chi-squared is %.0f", sum)
	}
}

// TestChangesAreFound as often as the coverage predicts: 10,000 times an app with one byte changed at
// random answers a challenge from its own package.
func TestChangesAreFound(t *testing.T) {
	t.Parallel()
	const size, count, length, tries = 10_000, 16, 256, 10_000
	pkg := noise(2, size)
	published, changed := bytes.NewReader(pkg), bytes.Clone(pkg)
	var missed float64
	for range tries {
		c, err := attestation.NewChallenge(size, count, length)
		if err != nil {
			t.Fatal(err)
		}
		at, by := rand.IntN(size), byte(1+rand.IntN(255))
		changed[at] ^= by
		answer, err := c.Answer(bytes.NewReader(changed), size, attestation.Findings{})
		changed[at] ^= by
		if err != nil {
			t.Fatal(err)
		}
		fits, err := c.Fits(answer, published, size, attestation.Findings{})
		asked := slices.ContainsFunc(c.Ranges, func(r attestation.Range) bool { return (int64(at)-r.Offset+size)%size < r.Length })
		if err != nil || fits == asked {
			t.Fatalf("a change at %d, asked for is %v: fits %v, %v", at, asked, fits, err)
		}
		if fits {
			missed++
		}
	}
	want := attestation.Missed(size, count, length)
	spread := 6 * math.Sqrt(want*(1-want)/tries) // six standard deviations: by chance once in 500 million times
	if t.Logf("missed %.4f of the changes, and %.4f is predicted", missed/tries, want); math.Abs(missed/tries-want) > spread {
		t.Errorf("missed %.4f of the changes, want %.4f ± %.4f", missed/tries, want, spread)
	}
}

// FuzzAnswer: whatever an attestation service sends, the app has an answer to it, or says that it is no
// challenge.
func FuzzAnswer(f *testing.F) {
	c, err := attestation.NewChallenge(100, 3, 40)
	if err != nil {
		f.Fatal(err)
	}
	sent, err := json.Marshal(attestation.Session{State: attestation.Waiting, Challenge: c})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sent, noise(1, 100))
	f.Add(bytes.Replace(sent, []byte("40"), []byte("9223372036854775807"), 1), noise(1, 100))
	f.Add([]byte(`{"nonce":"AAAA","ranges":[{"offset":-1}]}`), []byte{})
	f.Fuzz(func(t *testing.T, sent, pkg []byte) {
		var s attestation.Session
		if json.Unmarshal(sent, &s) != nil {
			return
		}
		size := int64(len(pkg))
		answer, err := s.Challenge.Answer(bytes.NewReader(pkg), size, attestation.Findings{})
		if err != nil {
			if !errors.Is(err, attestation.ErrChallenge) {
				t.Errorf("%q: %v", sent, err)
			}
			return
		}
		if fits, err := s.Challenge.Fits(answer, bytes.NewReader(pkg), size, attestation.Findings{}); err != nil || !fits {
			t.Errorf("%q: its answer fits %v, %v", sent, fits, err)
		}
	})
}

func TestChallengesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, n := range [][3]int64{{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {-1, 1, 1}, {100, 5000, 1}, {1 << 30, 1000, 1 << 20}, {1 << 40, 1, math.MaxInt64}} {
		if c, err := attestation.NewChallenge(n[0], n[1], n[2]); !errors.Is(err, attestation.ErrChallenge) {
			t.Errorf("%v: %d ranges, %v", n, len(c.Ranges), err)
		}
	}
	if c, err := attestation.NewChallenge(10, 2, 4096); err != nil || c.Ranges[0].Length != 10 {
		t.Errorf("of a small package: %+v, %v", c, err)
	}
	nonce := make([]byte, 32)
	for name, c := range map[string]attestation.Challenge{
		"nothing":         {},
		"a short nonce":   {Nonce: nonce[1:], Ranges: []attestation.Range{{0, 1}}},
		"no ranges":       {Nonce: nonce},
		"behind the end":  {Nonce: nonce, Ranges: []attestation.Range{{10, 1}}},
		"before":          {Nonce: nonce, Ranges: []attestation.Range{{-1, 1}}},
		"longer than all": {Nonce: nonce, Ranges: []attestation.Range{{0, 11}}},
		"of nothing":      {Nonce: nonce, Ranges: []attestation.Range{{0, 0}}},
	} {
		if _, err := c.Answer(bytes.NewReader(make([]byte, 10)), 10, attestation.Findings{}); !errors.Is(err, attestation.ErrChallenge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := attestation.NewChallenge(10, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Answer(bytes.NewReader(make([]byte, 5)), 10, attestation.Findings{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a package that is cut off: %v", err)
	}
	if _, err := c.Fits(nil, broken{}, 10, attestation.Findings{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a package that can't be read: %v", err)
	}
}

// BenchmarkAnswer costs the same whatever the size of the package is.
func BenchmarkAnswer(b *testing.B) {
	for _, size := range []int64{1 << 20, 10 << 20, 100 << 20} {
		b.Run(fmt.Sprint(size>>20, "MiB"), func(b *testing.B) {
			pkg := bytes.NewReader(noise(3, size))
			for b.Loop() {
				c, err := attestation.NewChallenge(size, 64, 4096)
				if err == nil {
					_, err = c.Answer(pkg, size, attestation.Findings{})
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
