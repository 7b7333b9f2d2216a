package loot

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"regexp"
	"slices"

	"keyladder/stages/protect"
)

// Certificates finds client certificates and private keys, in PEM and in DER.
type Certificates struct {
	All  []*x509.Certificate
	keys []crypto.Signer
}

const maxPEM = 8 << 10 // of a block, in bytes

var (
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

// certificateVersion is what stands near the start of every X.509 certificate of
// version 3 (RFC 5280, section 4.1): two sequences go before it.
var certificateVersion = []byte{0xa0, 0x03, 0x02, 0x01, 0x02}

func (f *Certificates) search(data []byte) {
	for at := range occurrences(data, pemStart) {
		if text := pemBlock.Find(data[at:min(len(data), at+maxPEM)]); text != nil {
			f.addPEM(bytes.ReplaceAll(text, []byte(`\n`), []byte("\n")))
		}
	}
	for _, kind := range derPrivateKeys {
		for at := range occurrences(data, kind.start) {
			if at+kind.size > len(data) {
				continue
			}
			if key, err := kind.parse(data[at : at+kind.size]); err == nil {
				f.AddKey(key)
			}
		}
	}
	for at := range occurrences(data, certificateVersion) {
		f.searchDER(data, at)
	}
}

// searchDER looks for a certificate around its version.
func (f *Certificates) searchDER(data []byte, version int) {
	for _, start := range []int{version - 8, version - 7} { // the inner length has two bytes, or one
		if start < 0 || !bytes.HasPrefix(data[start:], []byte{0x30, 0x82}) {
			continue
		}
		end := start + 4 + int(binary.BigEndian.Uint16(data[start+2:]))
		if end > len(data) || slices.ContainsFunc(f.All, func(c *x509.Certificate) bool { return bytes.Equal(c.Raw, data[start:end]) }) {
			continue
		}
		if certificate, err := x509.ParseCertificate(bytes.Clone(data[start:end])); err == nil {
			f.All = append(f.All, certificate)
		}
	}
}

func (f *Certificates) addPEM(text []byte) {
	block, _ := pem.Decode(text)
	if block == nil {
		return
	}
	switch {
	case block.Type == "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err == nil && !slices.ContainsFunc(f.All, certificate.Equal) {
			f.All = append(f.All, certificate)
		}
	case block.Type == "PRIVATE KEY":
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			f.AddKey(key)
		}
	case block.Type == "EC PRIVATE KEY":
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
			f.AddKey(key)
		}
	}
}

// AddKey adds a private key that was found, once.
func (f *Certificates) AddKey(key any) {
	signer, ok := key.(crypto.Signer)
	if !ok || slices.ContainsFunc(f.keys, func(other crypto.Signer) bool { return belongs(signer.Public(), other) }) {
		return
	}
	f.keys = append(f.keys, signer)
}

func belongs(public crypto.PublicKey, private crypto.Signer) bool {
	own, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && own.Equal(public)
}

// Pairs are the client certificates of which the private key was found, too.
func (f *Certificates) Pairs() (pairs []tls.Certificate) {
	for _, certificate := range f.All {
		for _, key := range f.keys {
			if !certificate.IsCA && belongs(certificate.PublicKey, key) {
				pairs = append(pairs, tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key, Leaf: certificate})
			}
		}
	}
	return pairs
}

func (f *Certificates) complete(as protect.Identity) (complete []protect.Identity) {
	for _, pair := range f.Pairs() {
		as.Certificate = &pair
		complete = append(complete, as)
	}
	return complete
}

func (f *Certificates) describe() []string {
	if len(f.Pairs()) == 0 {
		return nil
	}
	return []string{"a client certificate with its private key"}
}
