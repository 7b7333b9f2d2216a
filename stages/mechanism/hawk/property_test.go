package hawk_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"keyladder/stages/mechanism/hawk"
)

// message is everything that a server goes by when it verifies a request: what arrived,
// and its own settings.
type message struct {
	method, path, query string // the query with its question mark, or empty
	host                string
	port                int
	body                []byte
	header              hawk.Header
	media               string
}

func (m message) verify() error {
	v := verifier()
	v.Host, v.Port = m.host, m.port
	_, err := v.Verify(&http.Request{
		Method: m.method, RequestURI: m.path + m.query, Host: "evil.test",
		Header: http.Header{"Authorization": {m.header.String()}, "Content-Type": {m.media}},
	}, m.body, noon)
	return err
}

func drawMessage(t *rapid.T) message {
	m := message{
		method: rapid.SampledFrom([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "M-SEARCH"}).Draw(t, "method"),
		path:   rapid.StringMatching(`(/([a-z0-9~._-]|%[0-9A-F]{2}){0,8}){1,4}`).Draw(t, "path"),
		query:  rapid.StringMatching(`(\?([a-z0-9+]{1,5}(=([a-z0-9]|%[0-9A-F]{2}){0,5})?(&|;)?){0,4})?`).Draw(t, "query"),
		host:   rapid.StringMatching(`[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?`).Draw(t, "host"),
		port:   rapid.IntRange(1, 65535).Draw(t, "port"),
		body:   rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		media:  rapid.SampledFrom([]string{"application/json", "text/plain; charset=utf-8", "application/jose", ""}).Draw(t, "media type"),
	}
	c := client()
	c.Host, c.Port = m.host, m.port
	c.Nonce = func() string { return rapid.StringMatching(`[A-Za-z0-9+/=_-]{1,20}`).Draw(t, "nonce") }
	target, err := url.ParseRequestURI(m.path + m.query)
	if err != nil {
		t.Skip("not a target: ", err)
	}
	req := &http.Request{Method: m.method, URL: target, Header: http.Header{"Content-Type": {m.media}}}
	if req.URL.RequestURI() != m.path+m.query {
		t.Skip("net/http would write this target otherwise")
	}
	if _, err := c.Sign(req, m.body, rapid.StringMatching(`([ -!#-\[\]-~]{1,20})?`).Draw(t, "ext"), noon); err != nil {
		t.Fatal(err)
	}
	if m.header, err = hawk.Parse(req.Header.Get("Authorization")); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEveryByteCounts changes one byte of a random request.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		if err := m.verify(); err != nil {
			t.Fatalf("the request as it was signed: %v", err)
		}

		changed := m
		body, port := string(m.body), fmt.Sprint(m.port)
		parts := map[string]*string{
			"method": &changed.method, "path": &changed.path, "query": &changed.query,
			"host": &changed.host, "port": &port, "body": &body,
			"id": &changed.header.ID, "ts": &changed.header.Timestamp, "nonce": &changed.header.Nonce,
			"hash": &changed.header.Hash, "ext": &changed.header.Ext, "mac": &changed.header.MAC,
		}
		names := []string{"method", "path", "query", "host", "port", "body", "id", "ts", "nonce", "hash", "ext", "mac"}
		part := rapid.SampledFrom(names).Filter(func(name string) bool { return *parts[name] != "" }).Draw(t, "part")
		value := parts[part]
		at := rapid.IntRange(0, len(*value)-1).Draw(t, "position")
		with := rapid.Byte().Filter(func(b byte) bool { return b != (*value)[at] }).Draw(t, "byte")
		if part == "port" { // a number in the settings, so that only digits can be in its place
			with = rapid.ByteRange('1', '9').Filter(func(b byte) bool { return b != (*value)[at] }).Draw(t, "digit")
		}
		before := *value
		*value = before[:at] + string([]byte{with}) + before[at+1:]
		if part == "host" && strings.EqualFold(before, *value) {
			t.Skip("the same host: names of hosts ignore case")
		}
		changed.body = []byte(body)
		if _, err := fmt.Sscan(port, &changed.port); err != nil {
			t.Fatal(err)
		}

		err := changed.verify()
		if err == nil {
			t.Fatalf("%s %q instead of %q is accepted", part, *value, before)
		}
		if status, _ := hawk.Refusal(err); status != http.StatusBadRequest && status != http.StatusUnauthorized {
			t.Fatalf("%s %q instead of %q is answered with %d: %v", part, *value, before, status, err)
		}
	})
}

// TestNothingCanBeMoved moves bytes from one part of a request to its neighbour, and
// takes parts away.
func TestNothingCanBeMoved(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		h := m.header
		for name, change := range map[string]func(*message){
			"body away":          func(c *message) { c.body = nil },
			"body twice":         func(c *message) { c.body = bytes.Repeat(m.body, 2) },
			"body longer":        func(c *message) { c.body = append(bytes.Clone(m.body), '\n') },
			"query away":         func(c *message) { c.query = "" },
			"query longer":       func(c *message) { c.query += "&" },
			"question mark":      func(c *message) { c.query += "?" },
			"path longer":        func(c *message) { c.path += "/" },
			"hash away":          func(c *message) { c.header.Hash = "" },
			"ext away":           func(c *message) { c.header.Ext = "" },
			"ext becomes hash":   func(c *message) { c.header.Ext, c.header.Hash = h.Hash, h.Ext },
			"nonce into ts":      func(c *message) { c.header.Timestamp, c.header.Nonce = h.Timestamp+h.Nonce[:1], h.Nonce[1:] },
			"ts into nonce":      func(c *message) { c.header.Timestamp, c.header.Nonce = h.Timestamp[:9], h.Timestamp[9:]+h.Nonce },
			"app added":          func(c *message) { c.header.App = "a" },
			"app and dlg added":  func(c *message) { c.header.App, c.header.Dlg = "a", "d" },
			"dlg added":          func(c *message) { c.header.Dlg = "d" },
			"MAC cut":            func(c *message) { c.header.MAC = h.MAC[:len(h.MAC)-1] },
			"MAC with a padding": func(c *message) { c.header.MAC += "=" },
			"MAC away":           func(c *message) { c.header.MAC = "" },
		} {
			changed := m
			change(&changed)
			same := changed.method == m.method && changed.path+changed.query == m.path+m.query &&
				bytes.Equal(changed.body, m.body) && changed.header == m.header
			if err := changed.verify(); (err == nil) != same {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}
