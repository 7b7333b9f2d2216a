package traffic

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// HTTP is the head of a request or of an answer, as net/http has it. It shares no map and no
// slice with it, so the request and the answer may go on to be changed.
type HTTP struct {
	method, target, host string // of a request
	status               int    // of an answer
	proto                string
	fields               []field // in no order
	size                 int     // of the text that it becomes, in bytes
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
	h.fields = make([]field, 0, len(header)+2) // most fields have one value, those about limits two
	for name, values := range header {
		for _, value := range values {
			if name == "Cookie" || name == "Set-Cookie" {
				value = "(not recorded)"
			}
			h.fields = append(h.fields, field{name, value})
			h.size += len("\n: ") + len(name) + len(value)
		}
	}
	if h.size > MaxHead {
		h.shorten()
	}
}

// shorten gives up what is over the size of a head, the last fields first.
func (h *HTTP) shorten() {
	h.sort()
	h.size = len(h.method) + len(h.target) + len(h.proto) + len(h.host)
	for i, f := range h.fields {
		room := max(MaxHead-h.size, len(ellipsis))
		h.fields[i] = field{cut(f.name, room), cut(f.value, room)}
		h.size += len("\n: ") + len(h.fields[i].name) + len(h.fields[i].value)
		if h.size > MaxHead { // the text is cut there
			h.fields = slices.Clone(h.fields[:i+1])
			return
		}
	}
}

func (h *HTTP) sort() {
	slices.SortStableFunc(h.fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
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
// may ask at once, so it leaves the message as it is.
func (h *HTTP) head() string {
	sorted := HTTP{fields: slices.Clone(h.fields)}
	sorted.sort()
	var text strings.Builder
	text.Grow(h.size)
	if h.status != 0 {
		text.WriteString(h.proto + " " + h.statusLine())
	} else {
		text.WriteString(h.method + " " + h.target + " " + h.proto + "\nHost: " + h.host)
	}
	for _, f := range sorted.fields {
		text.WriteString("\n" + f.name + ": " + f.value)
	}
	return text.String()
}
