package httpsig

import (
	"errors"
	"fmt"
)

// Errors, one per rule. Those that wrap [ErrMalformed] are about the form of a signature.
var (
	// ErrMissing means that the message has no signature with the label.
	ErrMissing = errors.New("the message is not signed")
	// ErrMalformed is what all errors about the form of a signature wrap.
	ErrMalformed = errors.New("malformed signature")

	ErrTooLong   = fmt.Errorf("%w: the fields are too long", ErrMalformed)
	ErrSyntax    = fmt.Errorf("%w: Signature-Input is no dictionary of lists, or Signature none of byte sequences", ErrMalformed)
	ErrComponent = fmt.Errorf("%w: a component that there can't be", ErrMalformed)
	// ErrUnsupported means a component that RFC 9421 knows, and that is not supported here: @query-param,
	// @request-target, and the parameters sf, bs and tr.
	ErrUnsupported = fmt.Errorf("%w: a component that is not supported", ErrMalformed)
	ErrDuplicate   = fmt.Errorf("%w: a component is covered twice", ErrMalformed)
	ErrParameter   = fmt.Errorf("%w: a parameter of the signature is missing, not known or not of its type", ErrMalformed)

	// ErrAbsent means that a component is covered which the message does not have.
	ErrAbsent = errors.New("the message does not have a component that the signature covers")
	// ErrUncovered means that the signature leaves out what it has to cover.
	ErrUncovered = errors.New("the signature does not cover all that it has to")
	// ErrTag means that it was made for another purpose.
	ErrTag = errors.New("the signature was made for something else")
	// ErrAlgorithm means that it says that it was made by another algorithm than the key is for.
	ErrAlgorithm = errors.New("the signature was made by another algorithm")
	// ErrKey means that it says that it was made with another key.
	ErrKey = errors.New("the signature was made with another key")
	// ErrSignature means that the key has not signed this message.
	ErrSignature = errors.New("the signature does not match the message")

	// ErrTime is what all errors about the time wrap.
	ErrTime     = errors.New("the signature is for another time")
	ErrNotYet   = fmt.Errorf("%w: it was made in the future", ErrTime)
	ErrExpired  = fmt.Errorf("%w: it has expired", ErrTime)
	ErrLifetime = errors.New("the signature wants to be good for too long")

	// ErrResponse is what all errors about the signature of a response wrap.
	ErrResponse = errors.New("the answer is not authentic")
)
