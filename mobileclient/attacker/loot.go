package attacker

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"iter"
	"regexp"
	"slices"
	"strings"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/session"
)

const (
	maxTries      = 12 // combinations of what was found that are tried
	maxSignatures = 64 // that are kept
)

const maxPEM = 8 << 10 // of a block, in bytes

// loot is what a search of bytes brought up: a package, a process's memory or a
// recorded connection. It knows what such things look like, not where they are.
type loot struct {
	names        []string // telling names that stood there
	keys         []string // what is sent as a key, or as the ID of one; as found, each once
	secrets      []string // what stood under the name of a secret, or was proven to be one
	userAgents   []string
	certificates []*x509.Certificate
	privateKeys  []crypto.Signer
	signatures   []signature
	sessions     []session.Key
	devices      []installation
}

// signature is a request that was signed with Hawk, as far as the signature needs it.
type signature struct {
	method, target string
	field          string // Hawk id="…", …
}

var (
	// CLIENT_ID = "…", "CLIENT_ID":"…", CLIENT_ID: …
	namedKey    = regexp.MustCompile(`CLIENT_ID"?\s{0,4}[:=]\s{0,4}"?([A-Za-z0-9._~-]{3,128})`)
	namedSecret = regexp.MustCompile(`SHARED_SECRET"?\s{0,4}[:=]\s{0,4}"?([A-Za-z0-9+/=._~-]{8,128})`)
	appAgent    = regexp.MustCompile(`HarbourBank/[0-9]+(?:\.[0-9]+){1,2}`)

	// Fields of requests, with their line ends as they are or as JSON writes them.
	sentKey     = regexp.MustCompile(`(?i:authorization): ?key ([A-Za-z0-9._~-]{3,128})(?:\r?\n|\\r)`)
	sentSession = regexp.MustCompile(`(?i:authorization): ?Session ([A-Za-z0-9_-]{43})(?:\r?\n|\\r)`)
	sentGUID    = regexp.MustCompile(`(?i:device-guid): ?([A-Za-z0-9._~-]{8,128})(?:\r?\n|\\r)`)
	sentID      = regexp.MustCompile(`(?i:device-id): ?([A-Za-z0-9._~-]{1,128})(?:\r?\n|\\r)`)
	requestLine = regexp.MustCompile(`(GET|POST|PUT|DELETE) (/[!-~]{1,512}) HTTP/1\.1`)
	hawkField   = regexp.MustCompile(`^Hawk (?:[a-z]{2,5}="[ !#-\[\]-~]+"(?:, ?)?)+`)

	// Names that developers give to secrets.
	telling = []string{"CLIENT_ID", "SHARED_SECRET", "CLIENT_SECRET", "TLS_CLIENT_KEY"}

	pemStart = []byte("-----BEGIN ")
	// A PEM block, with its line ends as they are or as JSON writes them.
	pemBlock = regexp.MustCompile(`^-----BEGIN [A-Z0-9 ]{3,40}-----(?:\\n|\r?\n)[A-Za-z0-9+/=\\\r\n]+-----END [A-Z0-9 ]{3,40}-----`)
)

// derPrivateKeys are the first bytes of P-256 private keys in DER, with the parser for
// what follows: PKCS #8 and SEC 1.
var derPrivateKeys = []struct {
	start []byte
	size  int
	parse func([]byte) (any, error)
}{
	{[]byte("\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"), 138, x509.ParsePKCS8PrivateKey},
	{[]byte("\x30\x77\x02\x01\x01\x04\x20"), 121, func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) }},
}

// search looks through a piece of bytes.
func (l *loot) search(data []byte) {
	for _, match := range submatches(data, "CLIENT_ID", namedKey) {
		l.keys = addNew(l.keys, match)
	}
	for _, match := range submatches(data, "SHARED_SECRET", namedSecret) {
		l.secrets = addNew(l.secrets, match)
	}
	for _, match := range submatches(data, "uthorization: key ", sentKey) {
		l.keys = addNew(l.keys, match)
	}
	for _, match := range submatches(data, "uthorization: Session ", sentSession) {
		if key, err := session.ParseKey(match); err == nil {
			l.sessions = addNew(l.sessions, key)
		}
	}
	for _, match := range submatches(data, "HarbourBank/", appAgent) {
		l.userAgents = addNew(l.userAgents, match)
	}
	for _, name := range telling {
		if bytes.Contains(data, []byte(name)) {
			l.names = addNew(l.names, name)
		}
	}
	l.searchSigned(data)
	l.searchDevices(data)
	for at := range occurrences(data, pemStart) {
		if text := pemBlock.Find(data[at:min(len(data), at+maxPEM)]); text != nil {
			l.addPEM(bytes.ReplaceAll(text, []byte(`\n`), []byte("\n")))
		}
	}
	for _, kind := range derPrivateKeys {
		for at := range occurrences(data, kind.start) {
			if at+kind.size > len(data) {
				continue
			}
			if key, err := kind.parse(data[at : at+kind.size]); err == nil {
				l.addPrivateKey(key)
			}
		}
	}
	for at := range occurrences(data, certificateVersion) {
		l.searchCertificate(data, at)
	}
}

// searchSigned finds signed requests: the field with the signature, and the line with
// which the request before it begins.
func (l *loot) searchSigned(data []byte) {
	const before, after = 2048, 1024
	for at := range occurrences(data, []byte(hawk.Scheme+" ")) {
		text := bytes.ReplaceAll(data[at:min(len(data), at+after)], []byte(`\"`), []byte(`"`)) // as JSON writes it
		field := strings.TrimRight(string(hawkField.Find(text)), ", ")
		header, err := hawk.Parse(field)
		if err != nil {
			continue
		}
		l.keys = addNew(l.keys, header.ID)
		lines := requestLine.FindAllSubmatch(data[max(0, at-before):at], -1)
		if len(lines) > 0 && len(l.signatures) < maxSignatures {
			line := lines[len(lines)-1]
			l.signatures = addNew(l.signatures, signature{string(line[1]), string(line[2]), field})
		}
	}
}

// searchDevices finds requests that name the installation that made them.
func (l *loot) searchDevices(data []byte) {
	const around = 256
	for at := range occurrences(data, []byte(deviceid.GUIDField)) {
		window := data[max(0, at-around):min(len(data), at+around)]
		guid, identifier := sentGUID.FindSubmatch(window), sentID.FindSubmatch(window)
		if guid != nil && identifier != nil {
			l.devices = addNew(l.devices, installation{string(identifier[1]), string(guid[1])})
		}
	}
}

// certificateVersion is what stands near the start of every X.509 certificate of
// version 3 (RFC 5280, section 4.1): two sequences go before it.
var certificateVersion = []byte{0xa0, 0x03, 0x02, 0x01, 0x02}

// searchCertificate looks for a certificate around its version.
func (l *loot) searchCertificate(data []byte, version int) {
	for _, start := range []int{version - 8, version - 7} { // the inner length has two bytes, or one
		if start < 0 || !bytes.HasPrefix(data[start:], []byte{0x30, 0x82}) {
			continue
		}
		end := start + 4 + int(binary.BigEndian.Uint16(data[start+2:]))
		if end > len(data) || slices.ContainsFunc(l.certificates, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, data[start:end]) }) {
			continue
		}
		if certificate, err := x509.ParseCertificate(bytes.Clone(data[start:end])); err == nil {
			l.certificates = append(l.certificates, certificate)
		}
	}
}

// minEncoded is how long a key in base64 or hexadecimal is at least, with what it says
// about itself.
const minEncoded = 100

// encodedIn is what the long texts in the data decode to.
func encodedIn(data []byte) iter.Seq[[]byte] {
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

// occurrences are the places of a text in the data.
func occurrences(data, text []byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		for at := 0; ; at += len(text) {
			next := bytes.Index(data[at:], text)
			if next < 0 || !yield(at+next) {
				return
			}
			at += next
		}
	}
}

// submatches finds what the pattern's last group, or all of it, stands for. A regular
// expression over a hundred megabytes is slow, so the anchor, a text in it, is looked
// for first.
func submatches(data []byte, anchor string, pattern *regexp.Regexp) []string {
	var found []string
	const before, after = 1, 256 // "A" of Authorization
	for at := range occurrences(data, []byte(anchor)) {
		start := max(0, at-before)
		window := data[start:min(len(data), at+after)]
		match := pattern.FindSubmatchIndex(window)
		if match == nil || start+match[0] > at {
			continue // none, or that of a later anchor, which may be cut off
		}
		found = append(found, string(window[match[len(match)-2]:match[len(match)-1]]))
	}
	return found
}

func addNew[T comparable](list []T, item T) []T {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

func (l *loot) addPEM(text []byte) {
	block, _ := pem.Decode(text)
	if block == nil {
		return
	}
	switch {
	case block.Type == "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && !slices.ContainsFunc(l.certificates, certificate.Equal) {
			l.certificates = append(l.certificates, certificate)
		}
	case block.Type == "PRIVATE KEY":
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			l.addPrivateKey(key)
		}
	case block.Type == "EC PRIVATE KEY":
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			l.addPrivateKey(key)
		}
	}
}

func (l *loot) addPrivateKey(key any) {
	signer, ok := key.(crypto.Signer)
	if !ok || slices.ContainsFunc(l.privateKeys, func(other crypto.Signer) bool { return fits(signer.Public(), other) }) {
		return
	}
	l.privateKeys = append(l.privateKeys, signer)
}

func fits(public crypto.PublicKey, private crypto.Signer) bool {
	own, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}

// clientCertificates are the certificates for which the private key was found too.
func (l *loot) clientCertificates() []tls.Certificate {
	var pairs []tls.Certificate
	for _, certificate := range l.certificates {
		for _, key := range l.privateKeys {
			if !certificate.IsCA && fits(certificate.PublicKey, key) {
				pairs = append(pairs, tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate})
			}
		}
	}
	return pairs
}

// identities are the combinations worth trying at a stage, the most complete ones first.
func (l *loot) identities(policy catalog.Call) []identity {
	as := identity{}
	if len(l.userAgents) > 0 {
		as.userAgent = l.userAgents[0]
	}
	secrets := l.secrets
	if policy.AppProof != catalog.Hawk {
		secrets = []string{""}
	}
	certificates := []*tls.Certificate{}
	for _, pair := range l.clientCertificates() {
		certificates = append(certificates, &pair)
	}
	if len(certificates) == 0 {
		certificates = append(certificates, nil)
	}
	var tries []identity
	for _, as.key = range l.keys {
		for _, as.secret = range secrets {
			for _, as.certificate = range certificates {
				tries = append(tries, as)
			}
		}
	}
	return tries[:min(len(tries), maxTries)]
}

// String counts what was found.
func (l *loot) String() string {
	var parts []string
	for _, key := range l.keys {
		parts = append(parts, "something sent as a key ("+fingerprint(key)+")")
	}
	if len(l.keys) > 3 {
		parts = append(parts[:3], "more of the same")
	}
	for _, secret := range l.secrets[:min(len(l.secrets), 3)] {
		parts = append(parts, "a secret ("+fingerprint(secret)+")")
	}
	if pairs := len(l.clientCertificates()); pairs > 0 {
		parts = append(parts, "a client certificate with its private key")
	}
	if len(parts) == 0 {
		return "nothing of use"
	}
	return strings.Join(parts, ", ")
}

// fingerprint stands for a secret where people read along.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "SHA-256 " + hex.EncodeToString(sum[:4]) + "…"
}
