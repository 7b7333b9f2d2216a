package deviceid

import (
	"errors"
	"net/http"
)

// The fields.
const (
	Field     = "Device-Id"   // the identifier
	GUIDField = "Device-Guid" // the GUID
)

// ErrFields means that a call does not carry each field once.
var ErrFields = errors.New("the call does not carry " + Field + " and " + GUIDField + ", once each")

// Set puts the fields into a header, in place of what is there.
func Set(header http.Header, identifier, guid string) {
	header.Set(Field, identifier)
	header.Set(GUIDField, guid)
}

// From reads the fields. Its error is [ErrFields].
func From(header http.Header) (identifier, guid string, err error) {
	identifiers, guids := header.Values(Field), header.Values(GUIDField)
	if len(identifiers) != 1 || len(guids) != 1 {
		return "", "", ErrFields
	}
	return identifiers[0], guids[0], nil
}
