package scatter

import (
	"bytes"
	"crypto/rand"
	"errors"
	"image"
	"image/color"
	"image/png"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func hidden(t testing.TB, secret []byte) map[string][]byte {
	t.Helper()
	assets, err := Hide(secret, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return assets
}

func TestWhatIsHiddenIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.SliceOfN(rapid.Byte(), 0, Max).Draw(t, "secret")
		assets, err := Hide(secret, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Gather(assets); err != nil || !bytes.Equal(got, secret) {
			t.Errorf("got %x, %v", got, err)
		}
	})
}

func TestRoom(t *testing.T) {
	t.Parallel()
	full := bytes.Repeat([]byte("x"), Max)
	if got, err := Gather(hidden(t, full)); err != nil || !bytes.Equal(got, full) {
		t.Errorf("as much as there is room for: %d bytes, %v", len(got), err)
	}
	if _, err := Hide(append(full, 'x'), rand.Reader); !errors.Is(err, ErrTooMuch) {
		t.Errorf("a byte more: got %v, want %v", err, ErrTooMuch)
	}
	broken := errors.New("no noise")
	if _, err := Hide(nil, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("without noise: %v", err)
	}
}

// TestSegmentsAreScattered hides the same secret in the same noise with one byte of
// the first row changed, and looks at what moved.
func TestSegmentsAreScattered(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte("All work and no play "), 30)
	noise := make([]byte, pictures*width*height)
	_, _ = rand.Read(noise)
	before := pixels(t, noise, secret)
	noise[0] ^= 1
	after := pixels(t, noise, secret)
	same := 0
	for i := range before {
		for at := width; at < width*height; at += segment {
			segmentBefore, segmentAfter := before[i][at:at+segment], after[i][at:at+segment]
			original := noise[i*width*height+at:][:segment]
			if !bytes.Equal(segmentBefore, original) && bytes.Equal(segmentBefore, segmentAfter) {
				same++
			}
		}
	}
	if same > 0 {
		t.Errorf("%d segments are in the same place in two packages", same)
	}
	run := 0 // of segments that follow each other
	for _, picture := range before {
		current := 0
		for at := width; at < width*height; at += segment {
			if found := bytes.Contains(noise, picture[at:at+segment]); found {
				current = 0
				continue
			}
			current++
			run = max(run, current)
		}
	}
	if run > 4 { // of 79 segments in 6,840 places, four in a row are rarer than one in 10^5
		t.Errorf("%d segments in a row", run)
	}
}

func pixels(t *testing.T, noise, secret []byte) [][]byte {
	t.Helper()
	assets, err := Hide(secret, bytes.NewReader(noise))
	if err != nil {
		t.Fatal(err)
	}
	var grain [][]byte
	for i := range pictures {
		picture, err := png.Decode(bytes.NewReader(assets[name(i)]))
		if err != nil {
			t.Fatal(err)
		}
		grain = append(grain, picture.(*image.Gray).Pix)
	}
	return grain
}

func TestDamage(t *testing.T) {
	t.Parallel()
	other := hidden(t, []byte("other"))
	for _, test := range []struct {
		name   string
		change func(map[string][]byte)
	}{
		{"a picture is missing", func(a map[string][]byte) { delete(a, name(3)) }},
		{"a picture of another package", func(a map[string][]byte) { a[name(0)] = other[name(0)] }},
		{"pictures exchanged", func(a map[string][]byte) { a[name(0)], a[name(1)] = a[name(1)], a[name(0)] }},
		{"half a picture", func(a map[string][]byte) { a[name(2)] = a[name(2)][:500] }},
		{"another size", func(a map[string][]byte) { a[name(2)] = drawn(image.NewGray(image.Rect(0, 0, width, 1))) }},
		{"in colour", func(a map[string][]byte) {
			picture := image.NewNRGBA(image.Rect(0, 0, width, height))
			picture.Set(1, 1, color.NRGBA{R: 255, A: 9})
			a[name(2)] = drawn(picture)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			assets := hidden(t, bytes.Repeat([]byte("secret "), 100))
			test.change(assets)
			if got, err := Gather(assets); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %q, %v, want %v", got, err, ErrDamaged)
			}
		})
	}
}

func drawn(picture image.Image) []byte {
	var file bytes.Buffer
	_ = png.Encode(&file, picture) // to memory
	return file.Bytes()
}

// FuzzGather feeds the reader with pictures that anybody could have drawn.
func FuzzGather(f *testing.F) {
	f.Add(hidden(f, []byte("secret"))[name(0)])
	f.Add(drawn(image.NewGray(image.Rect(0, 0, width, height))))
	f.Add([]byte{})
	rest := hidden(f, []byte("secret"))
	f.Fuzz(func(t *testing.T, picture []byte) {
		assets := map[string][]byte{name(0): picture}
		for i := 1; i < pictures; i++ {
			assets[name(i)] = rest[name(i)]
		}
		if secret, err := Gather(assets); err == nil && len(secret) > Max {
			t.Errorf("%d bytes", len(secret))
		}
	})
}
