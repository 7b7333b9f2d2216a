package resource

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
)

// tailLines is how many lines of the access log are kept for people to look at.
const tailLines = 1000

// maxTarget and maxMethod are how much of a URL and of a method a line shows, in bytes.
const (
	maxTarget = 2048
	maxMethod = 32
)

// accessLog writes a line for each call: to the log, and, in the Common Log Format that
// every web server knows, to a tail in memory.
//
// No header field is in it. The URL is, and that is the trouble with keys in URLs: where
// the stage takes them from there, the log has them, as such logs do. At all other
// stages what looks like a key is left out, be it accepted or not.
type accessLog struct {
	keysInURLs map[string]bool // stages that take keys from there
	logger     *slog.Logger

	mu    sync.Mutex
	lines []line // a ring, next is the oldest once it is full
	next  int
}

// line is a line that is put into words when somebody looks.
type line struct {
	address       netip.Addr
	at            time.Time
	method, proto string
	url           *url.URL // nil: it was too long, and is in short
	short         string
	redact        bool
	status        int
	size          int64
}

func newAccessLog(stages catalog.Set, logger *slog.Logger) *accessLog {
	l := &accessLog{keysInURLs: map[string]bool{}, logger: logger}
	for _, stage := range stages {
		l.keysInURLs[stage.Slug] = stage.API.KeyInURL == catalog.KeyInURLAccepted
	}
	return l
}

func (l *accessLog) add(o guard.Outcome) {
	r := o.Request
	entry := line{
		address: o.Address, at: o.At, method: r.Method, proto: r.Proto, url: r.URL,
		redact: !l.keysInURLs[o.Stage], status: o.Status, size: o.Size,
	}
	if len(entry.method) > maxMethod { // net/http takes any token for one
		entry.method = entry.method[:maxMethod] + "..."
	}
	if len(r.URL.Path)+len(r.URL.RawPath)+len(r.URL.RawQuery) > maxTarget/3 { // %XX
		entry.url, entry.short = nil, shown(r.URL, entry.redact)
	}
	if l.logger.Enabled(r.Context(), slog.LevelInfo) {
		l.logger.Info("call", "address", entry.from(), "method", entry.method, "url", entry.target(), "status", o.Status,
			"bytes", o.Size, "ms", o.Duration.Milliseconds())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < tailLines {
		l.lines = append(l.lines, entry)
		return
	}
	l.lines[l.next] = entry
	l.next = (l.next + 1) % tailLines
}

func (l line) String() string {
	return fmt.Sprintf(`%s - - [%s] "%s %s %s" %d %d`, l.from(), l.at.Format("02/Jan/2006:15:04:05 -0700"),
		l.method, l.target(), l.proto, l.status, l.size)
}

func (l line) from() string {
	if !l.address.IsValid() {
		return "-"
	}
	return l.address.String()
}

func (l line) target() string {
	if l.url == nil {
		return l.short
	}
	return shown(l.url, l.redact)
}

// shown is path and query as they may be logged.
//
//keyladder:code access-log
func shown(u *url.URL, redact bool) string {
	query := u.RawQuery
	if redact {
		query = appkey.Redact(query)
	}
	target := u.EscapedPath()
	if query != "" {
		target += "?" + query
	}
	if len(target) > maxTarget {
		target = target[:maxTarget] + "..."
	}
	return strings.Map(func(r rune) rune { // one line stays one line, and a quote ends nothing
		if r == '"' || r == '\\' || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, target)
}

// tail is the latest lines, oldest first.
func (l *accessLog) tail() []string {
	l.mu.Lock()
	lines := append(append([]line{}, l.lines[l.next:]...), l.lines[:l.next]...)
	l.mu.Unlock()
	tail := make([]string, len(lines))
	for i, line := range lines {
		tail[i] = line.String()
	}
	return tail
}
