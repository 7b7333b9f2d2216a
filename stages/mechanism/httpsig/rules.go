package httpsig

import (
	"fmt"
	"time"
)

// Rules are what a signature has to fulfil, beside matching its message. A part that they say nothing
// about is not asked for.
type Rules struct {
	Covered []Component // has to be
	Tag     string      // that it has to have
	KeyID   string      // that it has to have

	Nonce    bool          // it has one
	Lifetime time.Duration // it expires, and that long after it was made at the latest; 0: it need not
	Leeway   time.Duration // how far the signer's clock may be ahead
}

// Verify verifies the signature of a message at a time: that it fulfils the rules, and that the key has
// made it. It returns the base that was built, also where the signature is not good, if it came to
// that. Its errors are those of this package that are not about one side.
//
// The time is looked at last, so that [ErrTime] is about a message that the key has signed.
//
//keyladder:code httpsig-verify
func (s *Signature) Verify(m Message, key Verifier, rules Rules, now time.Time) (base []byte, err error) {
	if err := rules.check(s, key); err != nil {
		return nil, err
	}
	if base, err = s.Base(m); err != nil {
		return nil, err
	}
	if !key.Verify(base, s.Value) {
		return base, ErrSignature
	}
	return base, rules.checkTime(s.Parameters, now)
}

// check is about what a signature says of itself.
func (r Rules) check(s *Signature, key Verifier) error {
	p := s.Parameters
	switch {
	case p.Created.IsZero():
		return fmt.Errorf("%w: created", ErrParameter)
	case r.Lifetime > 0 && p.Expires.IsZero():
		return fmt.Errorf("%w: expires", ErrParameter)
	case r.Nonce && p.Nonce == "":
		return fmt.Errorf("%w: nonce", ErrParameter)
	case p.Tag != r.Tag:
		return fmt.Errorf("%w: tag is %q", ErrTag, p.Tag)
	// The key says which algorithm it is for. The message must not change that (section 3.2).
	case p.Algorithm != "" && p.Algorithm != key.Algorithm():
		return fmt.Errorf("%w: alg is %q", ErrAlgorithm, p.Algorithm)
	case r.KeyID != "" && p.KeyID != r.KeyID:
		return fmt.Errorf("%w: keyid is %q", ErrKey, p.KeyID)
	}
	for _, c := range r.Covered {
		if !s.covers(c) {
			return fmt.Errorf("%w: %s", ErrUncovered, c)
		}
	}
	return nil
}

func (r Rules) checkTime(p Parameters, now time.Time) error {
	switch {
	case p.Created.After(now.Add(r.Leeway)):
		return fmt.Errorf("%w, in %s", ErrNotYet, p.Created.Sub(now).Round(time.Second))
	case !p.Expires.IsZero() && !now.Before(p.Expires):
		return fmt.Errorf("%w, %s ago", ErrExpired, now.Sub(p.Expires).Round(time.Second))
	case r.Lifetime > 0 && p.Expires.Sub(p.Created) > r.Lifetime:
		return fmt.Errorf("%w: %s", ErrLifetime, p.Expires.Sub(p.Created))
	}
	return nil
}
