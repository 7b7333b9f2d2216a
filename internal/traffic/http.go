package traffic

import (
	"cmp"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// HTTP is the head of a request or of an answer. It shares nothing with net/http's, so the
// request and the answer may go on to be changed. All of it is in one piece of memory:
// thousands of heads are kept, and the garbage collector has to look at each piece. The zero
// value is no head.
type HTTP struct {
	packed string // the start, and after it the fields, in no order; see pack
	status int    // of an answer
	size   int    // of the text that it becomes, in bytes
}

// start is what comes before the fields. An answer has the protocol alone.
type start struct{ method, target, host, proto string }

type field struct{ name, value string }

// RequestHead keeps the head of a request.
func RequestHead(r *http.Request) HTTP {
	target := r.RequestURI
	if target == "" { // nobody sent it: a test
		target = r.URL.RequestURI()
	}
	s := start{method: cut(r.Method, maxLine), target: cut(target, MaxHead), host: cut(r.Host, maxLine), proto: r.Proto}
	return keep(s, 0, len("  \nHost: "), r.Header)
}

// ExchangeOf is the Traffic-Id of a request, as long as it looks like one.
func ExchangeOf(r *http.Request) string { return word(r.Header.Get(Header)) }

// StageOf is the Traffic-Stage of a request, as long as it looks like one.
func StageOf(r *http.Request) string { return word(r.Header.Get(StageHeader)) }

func word(text string) string {
	if len(text) > 64 || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return ""
	}
	return text
}

// AnswerHead keeps the head of an answer.
func AnswerHead(proto string, status int, header http.Header) HTTP {
	return keep(start{proto: proto}, status, len(" 511 Network Authentication Required"), header)
}

// keep keeps the start, whose text gets so many bytes more, and the fields, up to the size of a
// head.
func keep(s start, status, more int, header http.Header) HTTP {
	h := HTTP{status: status, size: s.size() + more}
	for name, values := range header {
		for _, value := range values {
			h.size += len("\n: ") + len(name) + len(recorded(name, value))
		}
	}
	var packed strings.Builder
	packed.Grow(h.size)
	s.pack(&packed)
	for name, values := range header {
		for _, value := range values {
			field{name, recorded(name, value)}.pack(&packed)
		}
	}
	h.packed = packed.String()
	if h.size > MaxHead {
		h.shorten()
	}
	return h
}

// recorded is the value of a field as it is kept. Cookies are none of ours: a browser that opens an
// address here sends the admin UI's along, because cookies are good for every port of a host.
func recorded(name, value string) string {
	if name == "Cookie" || name == "Set-Cookie" {
		return "(not recorded)"
	}
	return value
}

func (s start) size() int { return len(s.method) + len(s.target) + len(s.host) + len(s.proto) }

func (s start) pack(to *strings.Builder) { pack(to, s.method, s.target, s.host, s.proto) }

func (f field) pack(to *strings.Builder) { pack(to, f.name, f.value) }

// pack appends texts, each with its length in front.
func pack(to *strings.Builder, texts ...string) {
	var room [binary.MaxVarintLen64]byte
	for _, text := range texts {
		to.Write(binary.AppendUvarint(room[:0], uint64(len(text))))
		to.WriteString(text)
	}
}

// unpack takes a text off the front.
func unpack(from string) (text, rest string) {
	length, n := binary.Uvarint([]byte(from[:min(len(from), binary.MaxVarintLen64)]))
	return from[n : n+int(length)], from[n+int(length):]
}

// start and what is packed after it.
func (h *HTTP) start() (s start, rest string) {
	s.method, rest = unpack(h.packed)
	s.target, rest = unpack(rest)
	s.host, rest = unpack(rest)
	s.proto, rest = unpack(rest)
	return s, rest
}

// fields are those packed in a text, in the order of their names.
func fields(packed string) []field {
	var fields []field
	for packed != "" {
		var f field
		f.name, packed = unpack(packed)
		f.value, packed = unpack(packed)
		fields = append(fields, f)
	}
	slices.SortStableFunc(fields, func(a, b field) int { return cmp.Compare(a.name, b.name) })
	return fields
}

// shorten gives up what is over the size of a head, the last fields first.
func (h *HTTP) shorten() {
	s, rest := h.start()
	h.size = s.size()
	var packed strings.Builder
	s.pack(&packed)
	for _, f := range fields(rest) {
		room := max(MaxHead-h.size, len(ellipsis))
		f = field{cut(f.name, room), cut(f.value, room)}
		f.pack(&packed)
		h.size += len("\n: ") + len(f.name) + len(f.value)
		if h.size > MaxHead { // the text is cut there
			break
		}
	}
	h.packed = packed.String()
}

// weight is the size that summary and head have in JSON, or something above it.
func (h *HTTP) weight() int {
	s, _ := h.start() // its target is in both
	return textBytes(min(h.size, MaxHead)) + textBytes(min(len(s.method)+len(s.target)+40, maxLine))
}

// text is what a reader gets: the line that stands for the message, and the start line with the
// fields after it, in the order of their names. The summary has no query, in which keys can be.
func (h *HTTP) text() (summary, head string) {
	s, rest := h.start()
	var text strings.Builder
	text.Grow(h.size)
	if h.status != 0 {
		summary = strconv.Itoa(h.status) + " " + http.StatusText(h.status)
		text.WriteString(s.proto + " " + summary)
	} else {
		path, _, _ := strings.Cut(s.target, "?")
		summary = s.method + " " + path
		text.WriteString(s.method + " " + s.target + " " + s.proto + "\nHost: " + s.host)
	}
	for _, f := range fields(rest) {
		text.WriteString("\n" + f.name + ": " + f.value)
	}
	return cut(summary, maxLine), cut(text.String(), MaxHead)
}
