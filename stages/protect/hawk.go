package protect

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/session"
)

// ErrTime means that an answer tells a time, and that nobody with the secret says so.
var ErrTime = errors.New("the server's time is not authentic")

// hawkSignatures are MACs over requests and answers under the app's secret. A nonce goes with
// each, whatever becomes of it.
var hawkSignatures = mechanism{
	serves: []any{catalog.Hawk, catalog.NoncesRemembered, catalog.SessionOfCall, catalog.TokenOfCall},
	prepare: func(c *Caller) (part, error) {
		if c.policy.AppProof != catalog.Hawk {
			return nothing()
		}
		s := &signer{caller: c}
		if c.identity.ClientID == "" || c.identity.Secret == "" {
			return part{lacks: Secret, prove: s.prove}, nil
		}
		// For the server of the settings, whatever the name and the port are under which a
		// proxy knows it.
		credentials := hawk.Credentials{ID: c.identity.ClientID, Key: c.identity.Secret}
		var err error
		if s.hawk, err = hawk.NewClient(credentials, c.api.TLS); err != nil {
			return part{}, err
		}
		s.hawk.Field = c.policy.AppProofField()
		return part{prove: s.prove}, nil
	},
	refusals: []refusal{{check: catalog.CheckServerMAC, is: oneOf(
		hawk.ErrUnsigned, hawk.ErrResponseMalformed, hawk.ErrResponseMAC, hawk.ErrResponseHash, ErrTime,
	)}},
}

// signer signs a caller's requests and checks the answers.
type signer struct {
	caller *Caller
	hawk   *hawk.Client // nil: there is no secret to sign with
}

// prove signs a request that is finished otherwise: the MAC covers its method, URL and body
// and, where the stage binds calls to users, who the user and the device are.
//
//keyladder:code app-hawk
func (s *signer) prove(r *Request, _ Call) (answerCheck, error) {
	if s.caller.stolenProof(r.Header) || s.hawk == nil {
		return nil, nil
	}
	covered := ""
	if binding := s.caller.policy.Binding; binding == catalog.SessionOfCall || binding == catalog.TokenOfCall {
		var err error
		if covered, err = session.Covered(r.Header); err != nil {
			return nil, err
		}
	}
	sent, err := s.hawk.Sign(&http.Request{Method: r.Method, URL: r.URL, Header: r.Header}, r.Body, covered, s.caller.now())
	if err != nil {
		return nil, err
	}
	return func(a *Answer) error { return s.check(sent, a) }, nil
}

// check makes sure that an answer is the server's. A success has to be authentic. A refusal
// need not be, because the server can't sign for an app that it does not know; it can stop the
// app, as anybody on the way can.
//
// A refusal may tell the server's time. Only somebody with the secret can.
//
//keyladder:code app-response
func (s *signer) check(sent *hawk.Sent, a *Answer) error {
	_, err := sent.CheckResponse(a.Header, a.Body)
	switch {
	case err == nil:
		a.Authentic = true
	case errors.Is(err, hawk.ErrUnsigned) && !a.success():
	default:
		return err
	}
	now := time.Now()
	teller := &hawk.Client{Credentials: s.hawk.Credentials}
	switch err := teller.Learn(a.Status, a.Header, now); {
	case errors.Is(err, hawk.ErrNoTime):
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", ErrTime, err)
	}
	s.caller.clock.set(teller.Offset())
	a.ToldTime = true
	return nil
}

// clock is the server's.
type clock struct{ offset atomic.Int64 } // from ours, in nanoseconds

func (c *clock) now() time.Time           { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) set(offset time.Duration) { c.offset.Store(int64(offset)) }
