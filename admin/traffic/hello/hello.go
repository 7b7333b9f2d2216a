// Package hello reads what TLS negotiates in the clear: the ClientHello, which offers, the
// ServerHello, which chooses, and, before TLS 1.3, the ServerKeyExchange (RFC 8446, sections
// 4.1.2 and 4.1.3; RFC 5246, section 7.4.3; RFC 8422, section 5.4). Anyone who carries a
// connection can read as much; nothing in it is secret, and at this point nothing of it is
// authenticated.
//
// It verifies nothing and decrypts nothing. It passes over what it does not know.
package hello

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Kind is the type of a handshake message (RFC 8446, section 4).
type Kind uint8

// The kinds that are read here.
const (
	Client      Kind = 1  // ClientHello
	Server      Kind = 2  // ServerHello
	KeyExchange Kind = 12 // ServerKeyExchange, which TLS 1.3 does not have any more
)

// Hello is what a message says. A client offers lists, best first; a server's have one entry
// each, or none where it does not say so here.
type Hello struct {
	Kind      Kind
	Versions  []uint16      // of TLS
	Suites    []uint16      // cipher suites
	Groups    []tls.CurveID // for the key exchange
	Shares    []tls.CurveID // of these, those for which a key is in the message
	Protocols []string      // of the application (ALPN, RFC 7301)
	Name      string        // of the server that the client wants to reach (SNI, RFC 6066, section 3); empty: none
	Retry     bool          // the server asks for another ClientHello, with a key for its group
	TLS13     bool          // of a server: it chose TLS 1.3, so that all that follows is encrypted
}

// String is what the message says in one line: "chosen: TLS 1.3, X25519MLKEM768,
// TLS_AES_128_GCM_SHA256".
func (h Hello) String() string {
	words := "chosen"
	switch {
	case h.Kind == Client:
		words = "offered"
	case h.Retry:
		words = "asked for another hello"
	}
	said := []string{
		Names(h.Versions, tls.VersionName), Names(h.Groups, tls.CurveID.String),
		Names(h.Suites, tls.CipherSuiteName), Names(h.Protocols, strconv.Quote),
	}
	if h.Name != "" {
		said = append(said, "for "+strconv.Quote(h.Name))
	}
	said = slices.DeleteFunc(said, func(s string) bool { return s == "" })
	separator := ", "
	if h.Kind == Client {
		separator = "; "
	}
	return words + ": " + strings.Join(said, separator)
}

// Names are the names of some values, in one line. Of long lists, which a stranger may send,
// it has the first.
func Names[V any](values []V, name func(V) string) string {
	var names []string
	for _, v := range values[:min(len(values), maxNames)] {
		names = append(names, name(v))
	}
	if more := len(values) - maxNames; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

const maxNames = 24

// The extensions that are read (RFC 8446, section 4.2).
const (
	serverName        = 0
	supportedGroups   = 10
	applicationLayer  = 16
	supportedVersions = 43
	keyShare          = 51
)

// retryRandom is the Random of a HelloRetryRequest (RFC 8446, section 4.1.3).
var retryRandom = []byte{
	0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11, 0xBE, 0x1D, 0x8C, 0x02, 0x1E, 0x65, 0xB8, 0x91,
	0xC2, 0xA2, 0x11, 0x16, 0x7A, 0xBB, 0x8C, 0x5E, 0x07, 0x9E, 0x09, 0xE2, 0xC8, 0xA8, 0x33, 0x9C,
}

// Read reads the first handshake message in the content of a TLS record, without the record's
// header. It is false for what is none of the kinds, and for what is not whole.
func Read(record []byte) (h Hello, ok bool) {
	s := cryptobyte.String(record)
	var kind uint8
	var body cryptobyte.String
	if !s.ReadUint8(&kind) || !s.ReadUint24LengthPrefixed(&body) {
		return Hello{}, false
	}
	h.Kind = Kind(kind)
	switch h.Kind {
	case Client:
		ok = h.readClient(&body)
	case Server:
		ok = h.readServer(&body)
	case KeyExchange:
		ok = h.readKeyExchange(&body)
	}
	if !ok || h.Kind != KeyExchange && !body.Empty() {
		return Hello{}, false
	}
	return h, true
}

func (h *Hello) readClient(s *cryptobyte.String) bool {
	var version uint16
	var session, suites, compression cryptobyte.String
	if !s.ReadUint16(&version) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&compression) {
		return false
	}
	if h.Suites = numbers[uint16](suites); h.Suites == nil {
		return false
	}
	if !readExtensions(s, h.clientExtension) {
		return false
	}
	if h.Versions == nil { // before TLS 1.3: this one, or any before it
		h.Versions = []uint16{version}
	}
	return true
}

func (h *Hello) clientExtension(number uint16, data cryptobyte.String) bool {
	var list cryptobyte.String
	switch number {
	case serverName:
		var kind uint8
		var name cryptobyte.String
		if !data.ReadUint16LengthPrefixed(&list) || !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) {
			return false
		}
		if kind == 0 { // host_name, the only one there is
			h.Name = string(name)
		}
	case supportedGroups:
		if !data.ReadUint16LengthPrefixed(&list) {
			return false
		}
		h.Groups = numbers[tls.CurveID](list)
	case applicationLayer:
		return h.readProtocols(data)
	case supportedVersions:
		if !data.ReadUint8LengthPrefixed(&list) {
			return false
		}
		h.Versions = numbers[uint16](list)
	case keyShare:
		if !data.ReadUint16LengthPrefixed(&list) {
			return false
		}
		for !list.Empty() {
			var group uint16
			var key cryptobyte.String
			if !list.ReadUint16(&group) || !list.ReadUint16LengthPrefixed(&key) {
				return false
			}
			h.Shares = append(h.Shares, tls.CurveID(group))
		}
	}
	return true
}

func (h *Hello) readServer(s *cryptobyte.String) bool {
	var version, suite uint16
	var random []byte
	var session cryptobyte.String
	if !s.ReadUint16(&version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16(&suite) || !s.Skip(1) { // compression
		return false
	}
	h.Suites, h.Retry = []uint16{suite}, bytes.Equal(random, retryRandom)
	if !readExtensions(s, h.serverExtension) {
		return false
	}
	if h.Versions == nil {
		h.Versions = []uint16{version}
	}
	h.TLS13 = h.Versions[0] == tls.VersionTLS13
	return true
}

func (h *Hello) serverExtension(number uint16, data cryptobyte.String) bool {
	var chosen uint16
	switch number {
	case supportedVersions:
		if !data.ReadUint16(&chosen) {
			return false
		}
		h.Versions = []uint16{chosen}
	case keyShare: // with its key, unless it asks for another ClientHello
		if !data.ReadUint16(&chosen) {
			return false
		}
		h.Groups = []tls.CurveID{tls.CurveID(chosen)}
		if !data.Empty() {
			h.Shares = h.Groups
		}
	case applicationLayer: // before TLS 1.3; later it is in the EncryptedExtensions
		return h.readProtocols(data)
	}
	return true
}

func (h *Hello) readKeyExchange(s *cryptobyte.String) bool {
	var kind uint8
	var group uint16
	if !s.ReadUint8(&kind) || kind != 3 || !s.ReadUint16(&group) { // 3: named_curve
		return false
	}
	h.Groups = []tls.CurveID{tls.CurveID(group)}
	h.Shares = h.Groups
	return true
}

func (h *Hello) readProtocols(data cryptobyte.String) bool {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) {
		return false
	}
	for !list.Empty() {
		var name cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&name) {
			return false
		}
		h.Protocols = append(h.Protocols, string(name))
	}
	return true
}

// readExtensions reads the extensions, which a message may lack.
func readExtensions(s *cryptobyte.String, read func(number uint16, data cryptobyte.String) bool) bool {
	if s.Empty() {
		return true
	}
	var all cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&all) {
		return false
	}
	for !all.Empty() {
		var number uint16
		var data cryptobyte.String
		if !all.ReadUint16(&number) || !all.ReadUint16LengthPrefixed(&data) || !read(number, data) {
			return false
		}
	}
	return true
}

// numbers are those of a list of two bytes each; nil: it is not such a list, or empty.
func numbers[N ~uint16](list cryptobyte.String) []N {
	var all []N
	for !list.Empty() {
		var number uint16
		if !list.ReadUint16(&number) {
			return nil
		}
		all = append(all, N(number))
	}
	return all
}
