package httpsig

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyladder/stages/mechanism/digest"
	"keyladder/stages/mechanism/jwk"
)

// The values that this profile has signatures say.
const (
	Label         = "device" // of a request's signature
	LabelResponse = "api"    // of a response's
	Tag           = "keyladder"

	// Lifetime is how long a signed request is good.
	Lifetime = 15 * time.Second
	// Leeway is how far a client's clock may be ahead. One that is behind by more than what is left of
	// the lifetime makes requests that have expired.
	Leeway = 5 * time.Second
)

// FieldAccept tells a client what to sign (RFC 9421, section 5.1).
const FieldAccept = "Accept-Signature"

// covered are the fields that a request's signature covers where they are there.
var covered = []string{"content-type", "content-digest", "authorization", "client-integrity-token"}

// usualNumber is how many components most signatures cover at most.
const usualNumber = 8

// ofRequest is what a request's signature has to cover: what is to be done, with what, and with whose
// tokens. Both ends ask this one function.
//
//keyladder:code httpsig-covered
func ofRequest(header http.Header, body []byte) []Component {
	components := append(make([]Component, 0, usualNumber), Component{Name: Method}, Component{Name: TargetOfCall})
	for _, field := range covered {
		if len(values(header, field)) > 0 || field == "content-digest" && len(body) > 0 {
			components = append(components, Component{Name: field})
		}
	}
	return components
}

// ofResponse is the same for a response: what it says, and to which request.
//
//keyladder:code httpsig-covered-response
func ofResponse(header http.Header) []Component {
	components := append(make([]Component, 0, usualNumber),
		Component{Name: Status},
		Component{Name: "content-digest"},
		Component{Name: Method, OfRequest: true},
		Component{Name: TargetOfCall, OfRequest: true},
		signatureOfRequest,
	)
	if len(values(header, "content-type")) > 0 {
		components = append(components, Component{Name: "content-type"})
	}
	return components
}

var signatureOfRequest = Component{Name: "signature", OfRequest: true, Key: Label}

// The components that this profile covers are covered in each call, so their identifiers are written
// once, and the keys of their fields in a header are found once.
var (
	identifiers = map[Component]string{}
	fieldKeys   = map[string]string{} // by names in lower case
)

func init() {
	full := http.Header{}
	for _, name := range covered {
		fieldKeys[name] = http.CanonicalHeaderKey(name)
		full.Set(name, "there")
	}
	for _, c := range slices.Concat(ofRequest(full, nil), ofResponse(full)) {
		identifiers[c] = c.identifier()
	}
}

// values of a field, whose name is in lower case.
func values(header http.Header, name string) []string {
	if key, known := fieldKeys[name]; known {
		return header[key]
	}
	return header.Values(name)
}

// Sent is a request that was signed. It is needed to check the response.
type Sent struct {
	Base []byte // that was signed; it holds tokens, where the request does

	request Message
}

// SignRequest signs a request with a device's key, and puts Content-Digest, Signature-Input and Signature
// into its header. The body is the one that it is going to have. All other fields are set already, and
// nothing that is covered may change afterwards.
//
//keyladder:code httpsig-request
func SignRequest(m Message, body []byte, key crypto.Signer, now time.Time) (*Sent, error) {
	public, err := jwk.OfSigner(key)
	if err != nil {
		return nil, fmt.Errorf("sign a request: %w", err)
	}
	m.Header.Del(digest.Field)
	if len(body) > 0 {
		digest.Set(m.Header, body)
	}
	created := now.Truncate(time.Second)
	s := &Signature{
		Label: Label, Components: ofRequest(m.Header, body),
		Parameters: Parameters{Created: created, Expires: created.Add(Lifetime), Nonce: rand.Text(), KeyID: public.Thumbprint(), Tag: Tag},
	}
	base, err := s.Sign(m, SignWith(key))
	if err != nil {
		return nil, err
	}
	return &Sent{Base: base, request: answered(m)}, nil
}

// answered is of a request what the signature of its response covers.
func answered(m Message) Message {
	m.Header = http.Header{FieldSignature: m.Header.Values(FieldSignature)}
	return m
}

// Received is a request whose signature is good. It is needed to sign the response.
type Received struct {
	KeyID   string    // the thumbprint of the key that has signed it
	Nonce   string    // good once, if the server remembers it: see package replay
	Created time.Time // when the request was signed

	request Message
}

// VerifyRequest verifies a request as the server received it, with its whole body. The key is the one that
// the sender's token is bound to. The base is what the server has built, where it came to that: for
// records, and it holds tokens.
//
// With [ErrTime] the request is returned, too: the key has signed it, so its sender can be told the time
// by a signed response.
//
// The nonce is left to the caller: whether the request is here for the first time. It is asked
// after this, never before: else anybody could use up the nonces of others.
//
//keyladder:code httpsig-verify-request
func VerifyRequest(m Message, body []byte, key jwk.Key, now time.Time) (received *Received, base []byte, err error) {
	s, err := Read(m.Header, Label)
	if err != nil {
		return nil, nil, err
	}
	rules := Rules{Covered: ofRequest(m.Header, body), Tag: Tag, KeyID: key.Thumbprint(), Nonce: true, Lifetime: Lifetime, Leeway: Leeway}
	base, err = s.Verify(m, VerifyWith(key), rules, now)
	if err != nil && !errors.Is(err, ErrTime) {
		return nil, base, err
	}
	// The signature covers what the field says about the content. The content itself nobody has looked at yet.
	if s.covers(Component{Name: "content-digest"}) {
		if err := digest.Verify(m.Header, body); err != nil {
			return nil, base, err
		}
	}
	request := Message{Method: m.Method, Target: m.Target, signature: s.member}
	return &Received{KeyID: s.Parameters.KeyID, Nonce: s.Parameters.Nonce, Created: s.Parameters.Created, request: request}, base, err
}

// Responder is the key with which a server signs responses.
type Responder struct {
	signer Signer
	keyID  string
}

// NewResponder makes one of a P-256 key, which may be in hardware. Its errors are those of [jwk.OfSigner].
func NewResponder(key crypto.Signer) (*Responder, error) {
	public, err := jwk.OfSigner(key)
	if err != nil {
		return nil, fmt.Errorf("sign responses: %w", err)
	}
	return &Responder{SignWith(key), public.Thumbprint()}, nil
}

// SignResponse signs the response to a request with the server's key, and puts Content-Digest,
// Signature-Input and Signature into its header. The body is all that is going to be sent; the answer to
// HEAD has none. The Content-Type must be set already: net/http would add one later.
//
//keyladder:code httpsig-response
func (r *Received) SignResponse(status int, header http.Header, body []byte, by *Responder, now time.Time) error {
	if len(body) > 0 && len(header.Values("content-type")) == 0 {
		return errors.New("sign a response: a body without Content-Type")
	}
	digest.Set(header, body)
	s := &Signature{
		Label: LabelResponse, Components: ofResponse(header),
		Parameters: Parameters{Created: now.Truncate(time.Second), KeyID: by.keyID, Tag: Tag},
	}
	_, err := s.Sign(Message{Status: status, Header: header, Request: &r.request}, by.signer)
	return err
}

// CheckResponse makes sure that a response comes from the server with that key, answers this very
// request, and has that status and body. It returns when the server has signed it. Its errors wrap
// [ErrResponse], and [ErrMissing] where it is not signed.
//
//keyladder:code httpsig-check-response
func (s *Sent) CheckResponse(status int, header http.Header, body []byte, key jwk.Key) (created time.Time, err error) {
	signature, err := Read(header, LabelResponse)
	if err != nil {
		return created, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	m := Message{Status: status, Header: header, Request: &s.request}
	// When it was made does not matter: no other request has this one's signature.
	rules := Rules{Covered: ofResponse(header), Tag: Tag, KeyID: key.Thumbprint()}
	if _, err := signature.Verify(m, VerifyWith(key), rules, signature.Parameters.Created); err != nil {
		return created, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	if err := digest.Verify(header, body); err != nil {
		return created, fmt.Errorf("%w: %w", ErrResponse, err)
	}
	return signature.Parameters.Created, nil
}

// Accept is what a server tells a client about what to sign of such a request, for [FieldAccept].
func Accept(header http.Header, body []byte) string {
	var identifiers []string
	for _, c := range ofRequest(header, body) {
		identifiers = append(identifiers, c.String())
	}
	return Label + "=(" + strings.Join(identifiers, " ") + ");created;expires;tag=" + quote(Tag)
}
