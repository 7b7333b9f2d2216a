// Package releasetest helps tests to search for what an app's package must not give
// away, in every form that people search for.
package releasetest

import (
	"crypto/ecdsa"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"keyladder/internal/pki"
	"keyladder/mobileclient/release"
)

// Needles are what is searched for, by what it is.
type Needles map[string][]byte

// Names are the names under which packages carry secrets in the clear.
func Names() Needles {
	names := Needles{}
	for _, name := range []string{"SHARED_SECRET", "TLS_CLIENT_CERTIFICATE", "TLS_CLIENT_KEY", "SERVER_PINS"} {
		names["the name "+name] = []byte(strings.TrimSuffix(name, "IFICATE")) // which every program with TLS has
	}
	return names
}

// Values are the secrets of the settings, and the pins.
func Values(t testing.TB, s release.Settings) Needles {
	t.Helper()
	needles := Needles{"the shared secret": []byte(s.SharedSecret)}
	certificate, _ := pem.Decode([]byte(s.ClientCertificate))
	pair, err := pki.Pair{Certificate: []byte(s.ClientCertificate), Key: []byte(s.ClientKey)}.TLS()
	if err != nil {
		t.Fatal(err)
	}
	key := pair.PrivateKey.(*ecdsa.PrivateKey)
	private, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	needles["the private key"], needles["the public key"] = private, public[1:]
	needles["the certificate's signature"] = certificate.Bytes[len(certificate.Bytes)-48:]
	for i, pin := range s.ServerPins {
		digest, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(pin, "sha256/"))
		if err != nil {
			t.Fatal(err)
		}
		needles["pin "+strconv.Itoa(i+1)] = digest
	}
	return needles
}

// wide is text in UTF-16, a byte for a character.
func wide(text []byte, order binary.AppendByteOrder) []byte {
	var form []byte
	for _, b := range text {
		form = order.AppendUint16(form, uint16(b))
	}
	return form
}

const window = 10 // bytes of a form that have to be there in one piece to be worth a look

// Find looks for pieces of the needles, in all their forms. It returns the form that was
// found, by what it is.
func (n Needles) Find(haystack []byte) map[string]string { return n.Finder()(haystack) }

// Finder is Find for many haystacks.
func (n Needles) Finder() func(haystack []byte) map[string]string {
	type match struct{ what, how string }
	windows := map[[window]byte]match{}
	var begins [1 << filterBits]bool // to be quick about most places
	for what, needle := range n {
		for how, form := range forms(needle) {
			for at := 0; at+window <= len(form); at++ {
				windows[[window]byte(form[at:])], begins[begin(form[at:])] = match{what, how}, true
			}
		}
	}
	return func(haystack []byte) map[string]string {
		found := map[string]string{}
		for at := 0; at+window <= len(haystack); at++ {
			if !begins[begin(haystack[at:])] {
				continue
			}
			if m, ok := windows[[window]byte(haystack[at:])]; ok {
				found[m.what] = m.how
			}
		}
		return found
	}
}

// A window is looked up in a filter first, by a hash of its first eight bytes.
const filterBits = 21

func begin(window []byte) uint64 {
	return binary.LittleEndian.Uint64(window) * 0x9e3779b97f4a7c15 >> (64 - filterBits)
}

// forms are the ways in which bytes are written down. Base64 depends on where in the
// text, modulo three, they begin: three offsets, less the characters that depend on the
// neighbours too. PEM is base64, in lines that are longer than a window.
func forms(needle []byte) map[string][]byte {
	reversed := slices.Clone(needle)
	slices.Reverse(reversed)
	forms := map[string][]byte{
		"raw": needle, "backwards": reversed,
		"hex": []byte(hex.EncodeToString(needle)), "capital hex": []byte(strings.ToUpper(hex.EncodeToString(needle))),
		"base32": []byte(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(needle)),
	}
	var percent strings.Builder
	for _, b := range needle {
		fmt.Fprintf(&percent, "%%%02X", b)
	}
	forms["percent"], forms["capital percent"] = []byte(strings.ToLower(percent.String())), []byte(percent.String())
	forms["UTF-16, little end first"], forms["UTF-16, big end first"] = wide(needle, binary.LittleEndian), wide(needle, binary.BigEndian)
	for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
		for offset := range 3 {
			shifted := encoding.EncodeToString(append(make([]byte, offset), needle...))
			end := len(shifted) - 2
			forms[name+" at offset "+strconv.Itoa(offset)] = []byte(shifted[[]int{0, 2, 3}[offset]:end])
		}
	}
	return forms
}
