package traffic

import (
	"cmp"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// HTTP is the head of a request or of an answer, as net/http has it. It shares no field with
// it, so the request and the answer may go on to be changed. All fields are in one piece of
// memory: thousands of heads are kept, and the garbage collector has to look at each piece.
type HTTP struct {
	method, target, host string // of a request
	status               int    // of an answer
	proto                string
	packed               string // the fields, in no order; see pack
	size                 int    // of the text that it becomes, in bytes
}

type field struct{ name, value string }

// RequestHead keeps the head of a request.
func RequestHead(r *http.Request) *HTTP {
	target := r.RequestURI
	if target == "" { // nobody sent it: a test
		target = r.URL.RequestURI()
	}
	h := &HTTP{method: cut(r.Method, maxLine), target: cut(target, MaxHead), host: cut(r.Host, maxLine), proto: r.Proto}
	h.size = len(h.method) + len(h.target) + len(h.proto) + len(h.host) + len("  \nHost: ")
	h.keep(r.Header)
	return h
}

// AnswerHead keeps the head of an answer.
func AnswerHead(proto string, status int, header http.Header) *HTTP {
	h := &HTTP{proto: proto, status: status}
	h.size = len(proto) + len(" 511 Network Authentication Required")
	h.keep(header)
	return h
}

// keep keeps the fields, up to the size of a head. Cookies are none of ours: a browser that
// opens an address here sends the admin UI's along, because cookies are good for every port of
// a host.
func (h *HTTP) keep(header http.Header) {
	packed := make([]byte, 0, 1024)
	for name, values := range header {
		for _, value := range values {
			if name == "Cookie" || name == "Set-Cookie" {
				value = "(not recorded)"
			}
			packed = field{name, value}.pack(packed)
			h.size += len("\n: ") + len(name) + len(value)
		}
	}
	h.packed = string(packed)
	if h.size > MaxHead {
		h.shorten()
	}
}

// pack appends the field: the lengths of its name and of its value, and both.
func (f field) pack(to []byte) []byte {
	to = binary.AppendUvarint(to, uint64(len(f.name)))
	to = binary.AppendUvarint(to, uint64(len(f.value)))
	return append(append(to, f.name...), f.value...)
}

// fields are the fields in the order of their names.
func (h *HTTP) fields() []field {
	var fields []field
	for rest := []byte(h.packed); len(rest) > 0; {
		name, n := binary.Uvarint(rest)
		value, m := binary.Uvarint(rest[n:])
		rest = rest[n+m:]
		fields = append(fields, field{string(rest[:name]), string(rest[name : name+value])})
		rest = rest[name+value:]
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	return fields
}

// shorten gives up what is over the size of a head, the last fields first.
func (h *HTTP) shorten() {
	h.size = len(h.method) + len(h.target) + len(h.proto) + len(h.host)
	var packed []byte
	for _, f := range h.fields() {
		room := max(MaxHead-h.size, len(ellipsis))
		f = field{cut(f.name, room), cut(f.value, room)}
		packed = f.pack(packed)
		h.size += len("\n: ") + len(f.name) + len(f.value)
		if h.size > MaxHead { // the text is cut there
			break
		}
	}
	h.packed = string(packed)
}

// summary is the line that stands for the message. It has no query, in which keys can be.
func (h *HTTP) summary() string {
	if h.status != 0 {
		return h.statusLine()
	}
	path, _, _ := strings.Cut(h.target, "?")
	return h.method + " " + path
}

func (h *HTTP) statusLine() string { return strconv.Itoa(h.status) + " " + http.StatusText(h.status) }

// head is the start line and the fields after it, in the order of their names. Several readers
// may ask at once.
func (h *HTTP) head() string {
	var text strings.Builder
	text.Grow(h.size)
	if h.status != 0 {
		text.WriteString(h.proto + " " + h.statusLine())
	} else {
		text.WriteString(h.method + " " + h.target + " " + h.proto + "\nHost: " + h.host)
	}
	for _, f := range h.fields() {
		text.WriteString("\n" + f.name + ": " + f.value)
	}
	return text.String()
}
