package protect

import (
	"errors"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/sealed"
)

// ErrNotSealed means that a success came in the clear, where bodies are sealed.
var ErrNotSealed = errors.New("the answer is not sealed")

// sealedBodies are encrypted under keys made from the app's secret.
var sealedBodies = mechanism{
	serves: []any{catalog.SealedBodies, catalog.SealedPortions},
	prepare: func(c *Caller) (part, error) {
		if c.policy.Bodies == catalog.PlainBodies {
			return nothing()
		}
		if c.identity.Secret == "" {
			return part{lacks: Secret}, nil
		}
		keys, err := sealed.DeriveKeys(c.identity.Secret)
		if err != nil {
			return part{}, err
		}
		if c.policy.Bodies == catalog.SealedPortions {
			return part{
				seal: func(r *Request) error { return sealPortions(keys.Requests, r) },
				open: func(a *Answer) error { return openPortions(keys.Responses, a) },
			}, nil
		}
		return part{
			seal:    func(r *Request) error { return seal(keys.Requests, r) },
			open:    func(a *Answer) error { return open(keys.Responses, a) },
			accepts: []string{sealed.MediaType},
		}, nil
	},
	refusals: []refusal{{check: catalog.CheckSealedAnswer, is: oneOf(
		ErrNotSealed, sealed.ErrTooLong, sealed.ErrMalformed, sealed.ErrAlgorithm, sealed.ErrHeader, sealed.ErrOpen,
		sealed.ErrClear, sealed.ErrMember,
	)}},
}

func seal(key sealed.Key, r *Request) error {
	if len(r.Body) == 0 {
		return nil
	}
	body, err := key.Seal(r.Body, r.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	r.Body, r.Sealed = body, true
	r.Header.Set("Content-Type", sealed.MediaType)
	return nil
}

func open(key sealed.Key, a *Answer) error {
	if len(a.Body) == 0 {
		return nil
	}
	if a.Media != sealed.MediaType {
		// Before the server knows who is calling, it can't seal a refusal.
		if a.success() {
			return ErrNotSealed
		}
		return nil
	}
	content, contentType, err := key.Open(a.Body)
	if err != nil {
		return err
	}
	a.Media, a.Body, a.Sealed = mediaType(contentType), content, true
	return nil
}

// sealPortions seals what is confidential in a JSON body.
func sealPortions(key sealed.Key, r *Request) (err error) {
	if mediaType(r.Header.Get("Content-Type")) == JSON && len(r.Body) > 0 {
		r.Body, r.Sealed, err = key.SealMembers(r.Body, catalog.Confidential())
	}
	return err
}

// openPortions opens them. Before the server knows who is calling, it can't seal a refusal.
func openPortions(key sealed.Key, a *Answer) error {
	if a.Media != JSON || len(a.Body) == 0 {
		return nil
	}
	body, some, err := key.OpenMembers(a.Body, catalog.Confidential())
	switch {
	case errors.Is(err, sealed.ErrClear) && !a.success():
		return nil
	case err != nil:
		return err
	}
	a.Body, a.Sealed = body, some
	return nil
}
