package appkey

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

const (
	// Scheme is the authentication scheme of the field.
	Scheme = "key"
	// Parameter is the query parameter that older clients put their key into.
	Parameter = "key"
	// MaxLength is the length of the longest key, in bytes.
	MaxLength = 128
)

// Challenge is the value of WWW-Authenticate that goes with a 401 (RFC 9110, section
// 11.6.1).
const Challenge = Scheme + ` realm="Harbour Bank"`

// Errors of [FromRequest] and [FromField].
var (
	// ErrMissing means that the request carries no key.
	ErrMissing = errors.New("the request carries no key")
	// ErrMalformed means that there is something in the key's place that is no key.
	ErrMalformed = errors.New("what the request carries is not a key")
	// ErrTwice means that the request carries more than one key, or more than one of the
	// field with it.
	ErrTwice = errors.New("the request carries more than one key")
)

// Set puts the key into a field, in place of what is there: Authorization or, where that is
// the user's, another one.
//
//keyladder:code appkey-set
func Set(header http.Header, field, key string) { header.Set(field, Scheme+" "+key) }

// SetQuery puts the key into the URL, as old clients do.
func SetQuery(req *http.Request, key string) {
	query := req.URL.Query()
	query.Set(Parameter, key)
	req.URL.RawQuery = query.Encode()
}

// FromRequest reads the key of a request, from that field or the URL, and says whether the
// URL carries one. That is reported with an error, too, so that a server which takes no keys
// from URLs can say that first.
//
//keyladder:code appkey-read
func FromRequest(req *http.Request, field string) (key string, inURL bool, err error) {
	fields := req.Header.Values(field)
	inQuery, count, malformed := keysIn(req.URL.RawQuery)
	inURL = count > 0
	// A query that can't be parsed may hide a key from us and show it to a log.
	if malformed != nil {
		return "", inURL || Mentioned(req.URL.RawQuery), ErrMalformed
	}
	if len(fields) > 1 || count > 1 {
		return "", inURL, ErrTwice
	}
	found := ""
	if len(fields) == 1 {
		scheme, credentials, _ := strings.Cut(fields[0], " ")
		if strings.EqualFold(scheme, Scheme) { // RFC 9110, section 11.1: schemes ignore case
			if inURL {
				return "", inURL, ErrTwice
			}
			found = strings.TrimLeft(credentials, " ") // 1*SP between them
			if !Valid(found) {
				return "", inURL, ErrMalformed
			}
		}
	}
	if inURL {
		found = inQuery
		if !Valid(found) {
			return "", inURL, ErrMalformed
		}
	}
	if found == "" {
		return "", inURL, ErrMissing
	}
	return found, inURL, nil
}

// keysIn finds the first key in a raw query, and how many there are. An error means that it
// can't be parsed.
func keysIn(rawQuery string) (first string, count int, err error) {
	if rawQuery == "" {
		return "", 0, nil
	}
	if key, only := strings.CutPrefix(rawQuery, Parameter+"="); only && Valid(key) {
		return key, 1, nil // as apps send it: there is nothing else to be found
	}
	query, err := url.ParseQuery(rawQuery)
	return query.Get(Parameter), len(query[Parameter]), err
}

// Valid says whether a text can be a key: 1 to [MaxLength] of the characters that
// URLs leave alone (RFC 3986, section 2.3), so that it is the same text everywhere.
func Valid(key string) bool {
	if key == "" || len(key) > MaxLength {
		return false
	}
	for _, c := range []byte(key) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~':
		default:
			return false
		}
	}
	return true
}

// Mentioned says whether a raw query has the key's parameter, however it is written:
// it errs on the side of yes.
func Mentioned(rawQuery string) bool { return Redact(rawQuery) != rawQuery }

// Redacted stands for a key in what is logged.
const Redacted = "[redacted]"

// Redact replaces the values of the key's parameter in a raw query, for logs. It
// reads queries more generously than a server does, because a log must not show what
// some other reader would take for a key.
func Redact(rawQuery string) string {
	var out strings.Builder
	rest := rawQuery
	for rest != "" {
		pair, separator := rest, ""
		if i := strings.IndexAny(rest, "&;"); i >= 0 {
			pair, separator = rest[:i], rest[i:i+1]
		}
		rest = rest[len(pair)+len(separator):]
		name, value, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		switch {
		case err != nil:
			out.WriteString(Redacted) // not even the name can be read
		case strings.EqualFold(strings.TrimSpace(plain), Parameter) && value != "":
			out.WriteString(name + "=" + Redacted)
		default:
			out.WriteString(pair)
		}
		out.WriteString(separator)
	}
	return out.String()
}
