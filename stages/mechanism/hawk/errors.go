package hawk

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// Errors of the server's half, one per check. Those that wrap [ErrMalformed] are told
// apart for tests and records only; clients hear 400 for all of them.
var (
	// ErrMissing means that there is no field, or one of another scheme.
	ErrMissing = errors.New("the request carries no Hawk credentials")
	// ErrMalformed is what all errors about the form of a request wrap.
	ErrMalformed = errors.New("malformed Hawk credentials")

	ErrTwice              = fmt.Errorf("%w: a field that may be there once is there twice", ErrMalformed)
	ErrTooLong            = fmt.Errorf("%w: the field is too long", ErrMalformed)
	ErrSyntax             = fmt.Errorf("%w: not a list of name=\"value\"", ErrMalformed)
	ErrUnknownAttribute   = fmt.Errorf("%w: unknown attribute", ErrMalformed)
	ErrDuplicateAttribute = fmt.Errorf("%w: an attribute is there twice", ErrMalformed)
	ErrAttributeValue     = fmt.Errorf("%w: an attribute's value is empty, or has characters that it may not have", ErrMalformed)
	ErrMissingAttribute   = fmt.Errorf("%w: a required attribute is missing", ErrMalformed)
	// ErrRequest means that the request can't be signed: a method that is not in
	// capitals, a target that is not a path and query, or control characters.
	ErrRequest = fmt.Errorf("%w: not a request that can be signed", ErrMalformed)

	ErrUnknownCredentials = errors.New("unknown credentials")
	ErrMAC                = errors.New("the MAC does not match the request")
	ErrMissingHash        = errors.New("the request has a body, but no hash of it")
	ErrHash               = errors.New("the hash does not match the body")
	// ErrStale is what every [StaleError] wraps.
	ErrStale = errors.New("the request was signed for another time")
	// ErrNonce means that the request was here before. Anyone who remembers nonces says so.
	ErrNonce = errors.New("the nonce is refused")

	// ErrUndecided means that the [Verifier] was not told all that it needs: a host,
	// a port, and where keys are.
	ErrUndecided = errors.New("the Hawk verifier is not completely set up")
)

// Errors of the client's half.
var (
	// ErrUnsigned means that a response carries no Server-Authorization.
	ErrUnsigned = errors.New("the response is not authenticated")
	// ErrResponseMalformed means that the response's Server-Authorization can't be read.
	ErrResponseMalformed = errors.New("malformed Server-Authorization")
	ErrResponseMAC       = errors.New("the MAC does not match the response, or the response is not to this request")
	ErrResponseHash      = errors.New("the hash is missing, or does not match the response's body")

	// ErrNoTime means that a response is not one that tells the server's time.
	ErrNoTime = errors.New("the response does not tell the server's time")
	// ErrTimeMAC means that whoever told the time does not have the key.
	ErrTimeMAC = errors.New("the server's time is not authenticated")
)

// StaleError is a request outside the time window, with the server's time for the
// client to learn.
type StaleError struct {
	Now int64  // the server's time, in seconds since 1970
	MAC string // tsm
}

// Error says what [ErrStale] says.
func (e *StaleError) Error() string { return ErrStale.Error() }

// Unwrap makes it an [ErrStale].
func (e *StaleError) Unwrap() error { return ErrStale }

// wire is what clients are told: Hawk's own words, which its other implementations
// know.
var wire = []struct {
	err     error
	message string
}{
	{ErrUnknownCredentials, "Unknown credentials"},
	{ErrMAC, "Bad mac"},
	{ErrMissingHash, "Missing required payload hash"},
	{ErrHash, "Bad payload hash"},
	{ErrNonce, "Invalid nonce"},
	{ErrStale, "Stale timestamp"},
}

// Refusal is how an error of [Verifier.Verify], or [ErrNonce], is answered: the status, and
// the value of WWW-Authenticate, which goes with a 401 only.
func Refusal(err error) (status int, authenticate string) {
	if errors.Is(err, ErrMalformed) {
		return http.StatusBadRequest, ""
	}
	if errors.Is(err, ErrMissing) {
		return http.StatusUnauthorized, Scheme
	}
	for _, known := range wire {
		if !errors.Is(err, known.err) {
			continue
		}
		message := `error="` + known.message + `"`
		if stale, ok := errors.AsType[*StaleError](err); ok {
			message = `ts="` + strconv.FormatInt(stale.Now, 10) + `", tsm="` + stale.MAC + `", ` + message
		}
		return http.StatusUnauthorized, Scheme + " " + message
	}
	return http.StatusInternalServerError, ""
}
