package protect

import (
	"net/http"
	"net/url"
	"sync"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/token"
)

// dpopProofs prove that the sender has the device's key, which tokens are bound to: with each call, and
// at the endpoints of OAuth, also where calls are proven in another way.
var dpopProofs = mechanism{
	serves: []any{catalog.DPoPProofs, catalog.TokenOfKey, catalog.ByAttestation},
	prepare: func(c *Caller) (part, error) {
		if c.policy.Sender == catalog.AnySender {
			return nothing()
		}
		if c.identity.Key == nil {
			return part{lacks: DeviceKey}, nil
		}
		return part{
			prove: func(r *Request, call Call) (answerCheck, error) {
				if c.policy.Sender != catalog.DPoPProofs && !call.Client {
					return nil, nil
				}
				return nil, c.proveKey(r)
			},
			learn: c.learnNonce,
		}, nil
	},
}

// proveKey puts a proof into a request, for it and for the access token that it carries, with the
// nonce that its server has given last.
//
//keyladder:code app-dpop
func (c *Caller) proveKey(r *Request) error {
	_, access, _ := token.Shown(r.Header) // what is no token goes as it is
	text, err := dpop.Sign(c.identity.Key, dpop.Request{Method: r.Method, URL: r.URL.String(), Token: access}, c.nonces.of(r.URL), c.now())
	if err != nil {
		return err
	}
	dpop.Set(r.Header, text)
	return nil
}

// learnNonce takes the nonce that comes with an answer, for all calls from then on. Where the call was
// refused, and had another one, it can be made again: a server looks at the nonce before it does
// anything (RFC 9449, section 8).
//
//keyladder:code app-dpop-nonce
func (c *Caller) learnNonce(r *Request, a *Answer) {
	given := a.Header.Get(dpop.NonceField)
	if given == "" {
		return
	}
	c.nonces.keep(r.URL, given)
	refused := a.Status == http.StatusUnauthorized || a.Status == http.StatusBadRequest
	a.ToldNonce = refused && dpop.NonceOf(r.Header.Get(dpop.Field)) != given
}

// NonceCall asks the server that issues the stage's tokens for a nonce, which proofs for it carry from then
// on: [Dressed.Check] takes it from the answer.
func (c *Caller) NonceCall() (Call, error) {
	base, err := c.mediator()
	if err != nil {
		return Call{}, err
	}
	target, err := url.Parse(base + "/challenge")
	return Call{Method: http.MethodPost, URL: target, Public: true, Unproven: true}, err
}

// UseNonce has proofs for a server carry a nonce that it has given to somebody else.
func (c *Caller) UseNonce(u *url.URL, nonce string) { c.nonces.keep(u, nonce) }

// nonces are those that servers have given last, by their origins (RFC 9449, section 8.2).
type nonces struct{ by sync.Map }

func (n *nonces) of(u *url.URL) string {
	nonce, _ := n.by.Load(u.Scheme + "://" + u.Host)
	text, _ := nonce.(string)
	return text
}

func (n *nonces) keep(u *url.URL, nonce string) { n.by.Store(u.Scheme+"://"+u.Host, nonce) }
