package clientcert

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"sync/atomic"
	"time"

	"keyladder/stages/mechanism/pin"
)

// maxRemembered is how many certificates a [Verifier] remembers: more than a few only
// where apps get a certificate each.
const maxRemembered = 4096

// Verifier verifies certificates of apps, and remembers those that were good: a server sees
// the same few again and again. Signatures do not go bad, so that at the next
// call only the time is left to look at. A certificate that was not good is not remembered, so
// strangers can't fill the memory.
type Verifier struct {
	roots *x509.CertPool
	mu    sync.RWMutex
	good  map[[sha256.Size]byte]known // by the hash of the whole certificate

	// To hash a certificate takes longer than everything else, and far longer than to compare it.
	recent [64]atomic.Pointer[recent]
}

// recent is a certificate that was good a moment ago.
type recent struct {
	certificate *x509.Certificate
	known
}

// place is where a certificate is kept among the recent ones, in place of the one before it.
func (v *Verifier) place(certificate *x509.Certificate) *atomic.Pointer[recent] {
	last := byte(0) // of the signature, so that it is as good as random
	if n := len(certificate.Raw); n > 0 {
		last = certificate.Raw[n-1]
	}
	return &v.recent[int(last)%len(v.recent)]
}

// known is what is remembered of a good certificate.
type known struct {
	validity
	pin pin.Pin
}

// validity is the time in which all certificates of a chain are good.
type validity struct{ from, to time.Time }

func (v validity) includes(now time.Time) bool { return !now.Before(v.from) && !now.After(v.to) }

// NewVerifier makes a verifier of certificates that are issued under roots.
func NewVerifier(roots *x509.CertPool) *Verifier {
	return &Verifier{roots: roots, good: map[[sha256.Size]byte]known{}}
}

// Verify checks that a certificate is one for an app: issued under the roots, for client
// authentication, good at the given time. It returns the certificate's pin, by which
// certificates are registered. Nil is [ErrMissing].
func (v *Verifier) Verify(certificate *x509.Certificate, now time.Time) (pin.Pin, error) {
	if certificate == nil {
		return "", ErrMissing
	}
	place := v.place(certificate)
	if r := place.Load(); r != nil && r.certificate.Equal(certificate) && r.includes(now) {
		return r.pin, nil
	}
	hash := sha256.Sum256(certificate.Raw)
	v.mu.RLock()
	remembered, ok := v.good[hash]
	v.mu.RUnlock()
	if ok && remembered.includes(now) {
		place.Store(&recent{certificate, remembered})
		return remembered.pin, nil
	}
	chain, err := verify(certificate, v.roots, now)
	if err != nil {
		return "", err
	}
	found := known{validityOf(chain), pin.Of(certificate)}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.good) >= maxRemembered {
		clear(v.good)
	}
	v.good[hash] = found
	return found.pin, nil
}

func validityOf(chain []*x509.Certificate) validity {
	whole := validity{from: chain[0].NotBefore, to: chain[0].NotAfter}
	for _, certificate := range chain[1:] {
		if certificate.NotBefore.After(whole.from) {
			whole.from = certificate.NotBefore
		}
		if certificate.NotAfter.Before(whole.to) {
			whole.to = certificate.NotAfter
		}
	}
	return whole
}
