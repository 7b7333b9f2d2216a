package httpsig

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/dunglas/httpsfv"
)

// Message is what signatures are about.
type Message struct {
	Method string // of a request
	// Target is a request's target URI (RFC 9110, section 7.1): absolute, and as both ends know it
	// from their settings. [TargetURI] makes it.
	Target  string
	Status  int         // of a response; 0: it is a request
	Header  http.Header // its fields
	Request *Message    // that a response answers; nil: it is not known

	signature string // of a request whose own was read already: the member with [Label]
}

// Component is a part of a message that a signature covers (RFC 9421, section 2).
type Component struct {
	Name      string // of a field, in lower case, or derived from the message: @method
	Key       string // of a member, where the field is a dictionary; empty: all of it
	OfRequest bool   // it is the request's, in a signature of the response
}

// The components that are derived from messages (RFC 9421, section 2.2).
const (
	Method       = "@method"
	TargetOfCall = "@target-uri"
	Authority    = "@authority"
	Scheme       = "@scheme"
	Path         = "@path"
	Query        = "@query"
	Status       = "@status"

	signatureParams = "@signature-params" // is in each base, and never covered by its name
)

// Parameters of components (RFC 9421, section 2.1).
const (
	parameterKey     = "key"
	parameterRequest = "req"
)

// String is the component's identifier, as a signature base has it.
func (c Component) String() string {
	if known, ok := identifiers[c]; ok {
		return known
	}
	return c.identifier()
}

func (c Component) identifier() string {
	text := quote(c.Name)
	if c.OfRequest {
		text += ";" + parameterRequest
	}
	if c.Key != "" {
		text += ";" + parameterKey + "=" + quote(c.Key)
	}
	return text
}

// quote writes a string of structured fields (RFC 9651, section 4.1.6).
func quote(text string) string {
	if strings.IndexByte(text, '\\') >= 0 || strings.IndexByte(text, '"') >= 0 {
		text = escape.Replace(text)
	}
	return `"` + text + `"`
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quotable says whether there can be such a string.
func quotable(text string) bool { return printable(text) && strings.IndexByte(text, '\t') < 0 }

// readComponent reads an identifier. It refuses an identifier that it does not know: the same name with a parameter
// is another value.
func readComponent(item httpsfv.Item) (c Component, err error) {
	name, ok := item.Value.(string)
	if !ok {
		return c, fmt.Errorf("%w: an identifier is no string", ErrComponent)
	}
	c.Name = name
	for _, parameter := range item.Params.Names() {
		value, _ := item.Params.Get(parameter)
		switch parameter {
		case parameterRequest:
			c.OfRequest = value == true
			ok = c.OfRequest
		case parameterKey:
			c.Key, ok = value.(string)
			ok = ok && c.Key != ""
		case "sf", "bs", "tr", "name":
			return c, fmt.Errorf("%w: %q with the parameter %q", ErrUnsupported, name, parameter)
		default:
			ok = false
		}
		if !ok {
			return c, fmt.Errorf("%w: %q with the parameter %q", ErrComponent, name, parameter)
		}
	}
	return c, nil
}

// identifierBeside is the component's identifier. It refuses what no component is, and what is among others
// already, whatever the order of its parameters is (RFC 9421, section 2).
func (c Component) identifierBeside(others []Component) (string, error) {
	identifier, known := identifiers[c]
	if !known { // the profile's own are in order
		if err := c.check(); err != nil {
			return "", err
		}
		identifier = c.identifier()
	}
	if slices.Contains(others, c) {
		return "", fmt.Errorf("%w: %s", ErrDuplicate, c)
	}
	return identifier, nil
}

// check refuses names that no component has.
func (c Component) check() error {
	switch {
	case c.Name == "@query-param" || c.Name == "@request-target":
		return fmt.Errorf("%w: %s", ErrUnsupported, c.Name)
	case strings.HasPrefix(c.Name, "@") && (derived[c.Name] == nil || c.Key != ""):
		return fmt.Errorf("%w: nothing called %s is derived from messages", ErrComponent, c)
	case !strings.HasPrefix(c.Name, "@") && !fieldName(c.Name) || !quotable(c.Key):
		return fmt.Errorf("%w: %s is not the name of a field, in lower case", ErrComponent, c)
	}
	return nil
}

// fieldName says whether a text is a field's name (RFC 9110, section 5.1), in lower case.
func fieldName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// value is the component's in a message (RFC 9421, section 2.5). A component that is not there is an
// error: a signature over nothing would look like one over something.
func (c Component) value(m Message) (string, error) {
	if c.OfRequest {
		if m.Request == nil {
			return "", fmt.Errorf("%w: %s, of a message that answers no request", ErrAbsent, c)
		}
		m = *m.Request
	}
	if strings.HasPrefix(c.Name, "@") {
		if derive := derived[c.Name]; derive != nil {
			if value, ok := derive(m); ok {
				return value, nil
			}
		}
		return "", fmt.Errorf("%w: %s", ErrAbsent, c)
	}
	if c.Name == signatureOfRequest.Name && c.Key == signatureOfRequest.Key && m.signature != "" {
		return m.signature, nil
	}
	fields := values(m.Header, c.Name)
	if len(fields) == 0 {
		return "", fmt.Errorf("%w: %s", ErrAbsent, c)
	}
	if c.Key != "" {
		return member(fields, c)
	}
	trimmed := make([]string, 0, 1)
	for _, field := range fields {
		if !printable(field) {
			return "", fmt.Errorf("%w: %s has characters that can't be signed as they are", ErrComponent, c)
		}
		trimmed = append(trimmed, strings.Trim(field, " \t"))
	}
	return strings.Join(trimmed, ", "), nil
}

// printable says whether a field has only characters that are signed as they are: no line feed, above all.
func printable(field string) bool {
	for i := range len(field) {
		// Below a space the difference begins anew at 255. Fields are long, and one comparison is less than two.
		if c := field[i]; c-' ' > '~'-' ' && c != '\t' {
			return false
		}
	}
	return true
}

// member of a dictionary (RFC 9421, section 2.1.2).
func member(fields []string, c Component) (string, error) {
	all, err := httpsfv.UnmarshalDictionary(fields)
	if err != nil {
		return "", fmt.Errorf("%w: %s: %w", ErrComponent, c, err)
	}
	found, ok := all.Get(c.Key)
	if !ok {
		return "", fmt.Errorf("%w: %s", ErrAbsent, c)
	}
	return marshalMember(found)
}

func marshalMember(m httpsfv.Member) (string, error) {
	value, ok := m.(httpsfv.StructuredFieldValue)
	if !ok {
		return "", ErrComponent
	}
	text, err := httpsfv.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrComponent, err)
	}
	return text, nil
}

// derived says how components are derived from messages; not ok: this message does not have it.
var derived = map[string]func(Message) (value string, ok bool){
	Method:       func(m Message) (string, bool) { return m.Method, m.Method != "" },
	TargetOfCall: func(m Message) (string, bool) { return m.Target, m.Target != "" },
	Scheme:       func(m Message) (string, bool) { return m.cut(func(u uri) string { return u.scheme }) },
	Authority:    func(m Message) (string, bool) { return m.cut(func(u uri) string { return u.authority }) },
	Path:         func(m Message) (string, bool) { return m.cut(func(u uri) string { return u.path }) },
	Query: func(m Message) (string, bool) { // without a query it is a "?", too (section 2.2.7)
		return m.cut(func(u uri) string { return "?" + strings.TrimPrefix(u.query, "?") })
	},
	Status: func(m Message) (string, bool) { return strconv.Itoa(m.Status), m.Status >= 100 && m.Status <= 999 },
}

// cut is a piece of the target URI.
func (m Message) cut(piece func(uri) string) (string, bool) {
	u, ok := cutURI(m.Target)
	return piece(u), ok
}

// uri is a URI in pieces, as it is written.
type uri struct{ scheme, authority, path, query string }

func cutURI(text string) (u uri, ok bool) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme == "" || strings.ContainsAny(scheme, "/?") {
		return uri{}, false
	}
	rest, _, _ = strings.Cut(rest, "#")
	u.scheme, u.authority, u.path = strings.ToLower(scheme), rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		u.authority, u.path = rest[:i], rest[i:]
	}
	if i := strings.IndexByte(u.path, '?'); i >= 0 {
		u.path, u.query = u.path[:i], u.path[i:]
	}
	u.authority = strings.ToLower(u.authority)
	if port, known := defaultPorts[u.scheme]; known {
		u.authority = strings.TrimSuffix(u.authority, port)
	}
	if u.path == "" {
		u.path = "/"
	}
	return u, u.authority != ""
}

var defaultPorts = map[string]string{"https": ":443", "http": ":80"}

// TargetURI is the target URI of a request: the server's origin, such as https://localhost:8447, and
// what the request line says, which is a path and a query, or the absolute form that proxies are sent
// (RFC 9112, section 3.2). The origin is the settings' of either end. A Host field or an absolute
// form says about it what somebody wants it to be. Empty: the two make no URI.
//
// Scheme and host are in lower case, and the default port is left out (RFC 9421, sections 2.2.2 and
// 2.2.3; RFC 9110, section 4.2.3). Path and query stay as they are written.
//
//keyladder:code httpsig-target
func TargetURI(origin, requestTarget string) string {
	if absolute, ok := cutURI(requestTarget); ok {
		requestTarget = absolute.path + absolute.query
	}
	u, ok := cutURI(origin)
	if !ok || u.path+u.query != "/" || !strings.HasPrefix(requestTarget, "/") {
		return ""
	}
	made := u.scheme + "://" + u.authority + requestTarget
	if !quotable(made) || strings.IndexByte(made, ' ') >= 0 || strings.IndexByte(made, '#') >= 0 {
		return ""
	}
	return made
}
