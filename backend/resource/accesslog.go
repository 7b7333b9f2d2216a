package resource

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
	stages catalog.Set
	logger *slog.Logger

	mu    sync.Mutex
	lines []string // a ring, next is the oldest once it is full
	next  int
}

func newAccessLog(stages catalog.Set, logger *slog.Logger) *accessLog {
	return &accessLog{stages: stages, logger: logger}
}

func (l *accessLog) add(o guard.Outcome) {
	url := l.url(o)
	address := "-"
	if o.Address.IsValid() {
		address = o.Address.String()
	}
	method := o.Request.Method
	if len(method) > maxMethod { // net/http takes any token for one
		method = method[:maxMethod] + "..."
	}
	l.logger.Info("call", "address", address, "method", method, "url", url, "status", o.Status,
		"bytes", o.Size, "ms", o.Duration.Milliseconds())
	line := fmt.Sprintf(`%s - - [%s] "%s %s %s" %d %d`, address, o.At.Format("02/Jan/2006:15:04:05 -0700"),
		method, url, o.Request.Proto, o.Status, o.Size)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < tailLines {
		l.lines = append(l.lines, line)
		return
	}
	l.lines[l.next] = line
	l.next = (l.next + 1) % tailLines
}

// url is path and query as they may be logged.
//
//keyladder:code access-log
func (l *accessLog) url(o guard.Outcome) string {
	query := o.Request.URL.RawQuery
	stage, _ := l.stages.Lookup(o.Stage)
	if stage.API.KeyInURL != catalog.KeyInURLAccepted {
		query = appkey.Redact(query)
	}
	target := o.Request.URL.EscapedPath()
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
	defer l.mu.Unlock()
	return append(append([]string{}, l.lines[l.next:]...), l.lines[:l.next]...)
}
