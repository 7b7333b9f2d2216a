package protect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/mechanism/jwk"
)

// signedMessages are signatures with the device's key over requests, and those of the API over its
// answers.
var signedMessages = mechanism{
	serves: []any{catalog.SignedMessages},
	prepare: func(c *Caller) (part, error) {
		if c.policy.Sender != catalog.SignedMessages {
			return nothing()
		}
		if c.identity.Key == nil {
			return part{lacks: DeviceKey}, nil
		}
		s := messageSigner{caller: c}
		api, err := c.URL("")
		if err != nil {
			return part{}, err
		}
		s.origin, s.below = api.Scheme+"://"+api.Host, api.Path+"/v1/"
		return part{prove: s.prove}, nil
	},
	refusals: []refusal{{check: catalog.CheckAnswerSigned, is: oneOf(httpsig.ErrResponse)}},
}

// messageSigner signs a caller's requests and checks the answers.
type messageSigner struct {
	caller        *Caller
	origin, below string // of the API, as it knows itself: https://localhost:8447 and /signed-calls/v1/
}

// prove signs a call of the API that is finished otherwise. The signature is for the API of the settings,
// whatever the name and the port are under which a proxy knows it.
//
//keyladder:code app-message-signature
func (s messageSigner) prove(r *Request, _ Call) (answerCheck, error) {
	if !strings.HasPrefix(r.URL.EscapedPath(), s.below) {
		return nil, nil // the endpoints of OAuth ask for other proofs
	}
	m := httpsig.Message{Method: r.Method, Target: httpsig.TargetURI(s.origin, r.URL.RequestURI()), Header: r.Header}
	sent, err := httpsig.SignRequest(m, r.Body, s.caller.identity.Key, s.caller.now())
	if err != nil {
		return nil, err
	}
	r.Base = sent.Base
	return func(a *Answer) error { return s.check(sent, a) }, nil
}

// check makes sure that an answer is the API's, and to this call. A success has to be. A refusal need not
// be, because the API signs for nobody whose call is not signed well; it can stop the app, as anybody on
// the way can.
//
// A call that was signed for another time is refused, and the answer, which is signed, says when. What is
// held up on the way makes that time an earlier one, so that nobody gets calls that are signed for later.
//
//keyladder:code app-signed-answer
func (s messageSigner) check(sent *httpsig.Sent, a *Answer) error {
	told, err := s.verify(sent, a)
	switch {
	case err == nil:
		a.Authentic = true
	case errors.Is(err, httpsig.ErrMissing) && !a.success():
		return nil
	default:
		return err
	}
	if a.Status == http.StatusUnauthorized && s.caller.now().Sub(told).Abs() > httpsig.Leeway {
		s.caller.clock.set(time.Until(told))
		a.ToldTime = true
	}
	return nil
}

// verify verifies the signature with the key of the API that has made it. Without one nothing is good.
func (s messageSigner) verify(sent *httpsig.Sent, a *Answer) (told time.Time, err error) {
	for _, key := range slices.Concat(s.caller.api.Answers, []jwk.Key{{}}) {
		if told, err = sent.CheckResponse(a.Status, a.Header, a.Body, key); err == nil || !errors.Is(err, httpsig.ErrKey) {
			return told, err
		}
	}
	return told, err
}

// AnswerKeysCall gets the keys with which the API signs its answers. TLS says that they are the mediator's.
func (c *Caller) AnswerKeysCall() (Call, error) {
	base, err := c.mediator()
	if err != nil {
		return Call{}, err
	}
	keys, err := url.Parse(base + "/jwks")
	return Call{URL: keys, Public: true, Unproven: true}, err
}

// ReadAnswerKeys reads the answer to that, for [API].Answers. Keys that are for something else, or of
// another kind, are passed over (RFC 7517, section 5).
func ReadAnswerKeys(body []byte) (keys []jwk.Key, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("read the keys of the API: %w", err)
	}
	for _, text := range set.Keys {
		var use struct {
			Use string `json:"use"`
		}
		if key, err := jwk.Parse(text); err == nil && json.Unmarshal(text, &use) == nil && (use.Use == "" || use.Use == "sig") {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("read the keys of the API: there are none")
	}
	return keys, nil
}
