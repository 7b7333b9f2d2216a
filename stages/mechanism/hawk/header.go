package hawk

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	// Scheme is the authentication scheme; case doesn't matter.
	Scheme = "Hawk"
	// ServerAuthorization is the field in which the response is authenticated.
	ServerAuthorization = "Server-Authorization"
	// MaxLength is how long a field may be, in bytes.
	MaxLength = 4096
)

// Header is the value of a request's field.
type Header struct {
	ID        string
	Timestamp string // seconds since 1970
	Nonce     string
	Hash      string // empty: none
	Ext       string // empty: none
	MAC       string
	App, Dlg  string // empty: none
}

// requestAttributes are in the order in which they are written.
var requestAttributes = []string{"id", "ts", "nonce", "hash", "ext", "mac", "app", "dlg"}

func (h *Header) attributes() []*string {
	return []*string{&h.ID, &h.Timestamp, &h.Nonce, &h.Hash, &h.Ext, &h.MAC, &h.App, &h.Dlg}
}

// String is the field's value.
func (h Header) String() string { return format(requestAttributes, h.attributes()) }

// Parse reads a request's field strictly. Its errors are [ErrMissing], for another
// scheme, and those that wrap [ErrMalformed].
func Parse(field string) (Header, error) {
	var h Header
	if err := parse(field, requestAttributes, h.attributes()); err != nil {
		return Header{}, err
	}
	if h.ID == "" || h.Timestamp == "" || h.Nonce == "" || h.MAC == "" {
		return Header{}, ErrMissingAttribute
	}
	if h.Dlg != "" && h.App == "" {
		return Header{}, ErrMissingAttribute // dlg without app is not covered by the MAC
	}
	if _, err := seconds(h.Timestamp); err != nil {
		return Header{}, err
	}
	return h, nil
}

// seconds reads a timestamp in its only form: digits, no leading zero, at most 12.
func seconds(text string) (int64, error) {
	if text == "" || len(text) > 12 || text[0] < '0' || text[0] > '9' || text[0] == '0' && text != "0" {
		return 0, ErrAttributeValue
	}
	ts, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, ErrAttributeValue
	}
	return ts, nil
}

// parse reads a field of this scheme, each attribute into the place of the same index.
func parse(field string, names []string, into []*string) error {
	scheme, rest, _ := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, Scheme) {
		return ErrMissing
	}
	if len(field) > MaxLength {
		return ErrTooLong
	}
	for {
		name, quoted, ok := strings.Cut(afterBlanks(rest), `="`)
		if !ok {
			return ErrSyntax
		}
		value, after, ok := strings.Cut(quoted, `"`)
		if !ok {
			return ErrSyntax
		}
		i := slices.Index(names, name)
		switch {
		case i < 0 && strings.ContainsAny(name, " \t,\"=\\"):
			return ErrSyntax
		case i < 0:
			return ErrUnknownAttribute
		case *into[i] != "":
			return ErrDuplicateAttribute
		case !validValue(value):
			return ErrAttributeValue
		}
		*into[i] = value
		if after = afterBlanks(after); after == "" {
			return nil
		}
		if rest, ok = strings.CutPrefix(after, ","); !ok {
			return ErrSyntax
		}
	}
}

// afterBlanks is a text without the spaces and tabs that it begins with.
func afterBlanks(text string) string {
	for text != "" && (text[0] == ' ' || text[0] == '\t') {
		text = text[1:]
	}
	return text
}

// validValue says whether a text can be an attribute's value: printable ASCII without
// quotation marks and backslashes. The published parsers take no others.
func validValue(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return value != ""
}

func format(names []string, values []*string) string {
	text := append(make([]byte, 0, 512), Scheme...)
	between := " "
	for i, name := range names {
		if *values[i] != "" {
			text = append(append(text, between...), name...)
			text = append(append(text, `="`...), *values[i]...)
			text = append(text, '"')
			between = ", "
		}
	}
	return string(text)
}

// reply is the value of a response's Server-Authorization.
type reply struct{ mac, hash, ext string }

var replyAttributes = []string{"mac", "hash", "ext"}

func (r *reply) attributes() []*string { return []*string{&r.mac, &r.hash, &r.ext} }

// challenge is the value of a response's WWW-Authenticate.
type challenge struct{ ts, tsm, message string }

var challengeAttributes = []string{"ts", "tsm", "error"}

func (c *challenge) attributes() []*string { return []*string{&c.ts, &c.tsm, &c.message} }

// contentType is the one Content-Type of a message. Two of them mean one thing to us
// and may mean another to whoever reads the body.
func contentType(header http.Header) (string, error) {
	fields := header["Content-Type"]
	if len(fields) == 0 {
		return "", nil
	}
	if len(fields) > 1 {
		return "", ErrTwice
	}
	if strings.ContainsFunc(fields[0], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "", ErrRequest
	}
	return fields[0], nil
}
