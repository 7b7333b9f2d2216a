package scatter

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math/rand/v2"
)

// Errors of this package.
var (
	// ErrTooMuch means that the pictures have no room for what is to be hidden.
	ErrTooMuch = errors.New("there is more to hide than there is room")
	// ErrDamaged means that nothing that was hidden can be put together.
	ErrDamaged = errors.New("the pictures are damaged, or are not those of this package")
)

const (
	pictures = 6
	width    = 96 // pixels, of one byte each
	height   = 96
	segment  = 8 // bytes

	slotsOf = (height - 1) * width / segment // in a picture: all rows but the first
	slots   = pictures * slotsOf

	checksum = 8 // bytes of SHA-256
	prefix   = 2 + checksum

	// Max is how much can be hidden, in bytes. Half of all places stay noise.
	Max = slots/2*segment - prefix
)

// recipe is what only the program knows. It is in the program.
var recipe = []byte("grain 100 g/m2, warm white, feed 2")

// Name of the picture number i, in the package.
func name(i int) string { return fmt.Sprintf("images/grain-%d.png", i+1) }

// Hide makes the pictures, by their names in the package, that hold the secret bytes.
// The noise comes from random.
//
//keyladder:code package-hide
func Hide(secret []byte, random io.Reader) (map[string][]byte, error) {
	if len(secret) > Max {
		return nil, ErrTooMuch
	}
	grain := make([][]byte, pictures)
	for i := range grain {
		grain[i] = make([]byte, width*height)
		if _, err := io.ReadFull(random, grain[i]); err != nil {
			return nil, fmt.Errorf("make noise: %w", err)
		}
	}
	numbers := numbersOf(grain)
	places := shuffled(numbers)

	sum := sha256.Sum256(secret)
	encoded := binary.BigEndian.AppendUint16(nil, uint16(len(secret)))
	encoded = append(encoded, sum[:checksum]...)
	encoded = append(encoded, secret...)
	encode(encoded, numbers)
	for i := 0; len(encoded) > 0; i++ {
		n := copy(places[i].in(grain), encoded)
		encoded = encoded[n:]
	}

	assets := map[string][]byte{}
	for i, pixels := range grain {
		var file bytes.Buffer
		picture := &image.Gray{Pix: pixels, Stride: width, Rect: image.Rect(0, 0, width, height)}
		if err := png.Encode(&file, picture); err != nil {
			return nil, fmt.Errorf("write a picture: %w", err)
		}
		assets[name(i)] = file.Bytes()
	}
	return assets, nil
}

// Gather puts together, in memory, what [Hide] has hidden in the assets of a package.
// Its error is [ErrDamaged].
//
//keyladder:code app-reveal
func Gather(assets map[string][]byte) ([]byte, error) {
	grain := make([][]byte, pictures)
	for i := range grain {
		picture, err := png.Decode(bytes.NewReader(assets[name(i)]))
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name(i), err)
		}
		gray, ok := picture.(*image.Gray)
		if !ok || gray.Rect != image.Rect(0, 0, width, height) {
			return nil, fmt.Errorf("%w: %s is another picture", ErrDamaged, name(i))
		}
		grain[i] = gray.Pix
	}
	numbers := numbersOf(grain)
	places := shuffled(numbers)

	gathered := make([]byte, 0, slots/2*segment)
	for _, place := range places[:slots/2] {
		gathered = append(gathered, place.in(grain)...)
	}
	encode(gathered, numbers)
	length := int(binary.BigEndian.Uint16(gathered))
	if length > Max {
		return nil, ErrDamaged
	}
	secret := gathered[prefix : prefix+length]
	if sum := sha256.Sum256(secret); !bytes.Equal(sum[:checksum], gathered[2:prefix]) {
		return nil, ErrDamaged
	}
	return secret, nil
}

// numbersOf is the stream of numbers that both halves go by.
func numbersOf(grain [][]byte) *rand.ChaCha8 {
	hash := sha256.New()
	hash.Write(recipe)
	for _, pixels := range grain {
		hash.Write(pixels[:width]) // the first row
	}
	return rand.NewChaCha8([32]byte(hash.Sum(nil)))
}

// place is where a segment lies.
type place struct{ picture, offset int }

func (p place) in(grain [][]byte) []byte {
	return grain[p.picture][p.offset : p.offset+segment]
}

// shuffled are all places in the order in which they are used. It is Fisher and Yates',
// written down here because packages outlive versions of [rand.Shuffle].
func shuffled(numbers *rand.ChaCha8) []place {
	places := make([]place, slots)
	for i := range places {
		places[i] = place{i / slotsOf, width + i%slotsOf*segment}
	}
	for i := len(places) - 1; i > 0; i-- {
		j := numbers.Uint64() % uint64(i+1)
		places[i], places[j] = places[j], places[i]
	}
	return places
}

// encode encodes and decodes.
func encode(data []byte, numbers *rand.ChaCha8) {
	var mask [segment]byte
	for len(data) > 0 {
		binary.LittleEndian.PutUint64(mask[:], numbers.Uint64())
		data = data[subtle.XORBytes(data, data, mask[:]):]
	}
}
