package device

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/textproto"
	"strings"
	"sync"

	"keyladder/internal/traffic"
)

// maxCiphertext is how much of a TLS record is kept: enough to see that there is
// nothing to see.
const maxCiphertext = 512

// kept is how much of a record of a type is kept. Handshakes are not encrypted at first: in
// the two hellos stands what both ends negotiate.
func kept(recordType byte) int {
	if recordType == handshake {
		return traffic.MaxBody
	}
	return maxCiphertext
}

// notes is what somebody who carries a connection's bytes can tell about them.
type notes struct {
	log         *traffic.Log
	participant string
	stage       string

	mu       sync.Mutex
	exchange string
	out, in  stream
}

// stream is one direction of a connection.
type stream struct {
	header []byte // of the TLS record that is arriving
	body   []byte // of that record: its first bytes
	left   int    // bytes of that record that are still to come
}

// carries says which exchange the bytes belong to from now on.
func (n *notes) carries(exchange string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.exchange = exchange
}

func (n *notes) sent(b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note(&n.out, b, n.participant, "network")
}

func (n *notes) received(b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.note(&n.in, b, "network", n.participant)
}

// note cuts bytes into TLS records, and takes what is none as clear text. A
// connection can begin as the one and go on as the other, as it does behind a proxy.
func (n *notes) note(s *stream, b []byte, from, to string) {
	if n.log == nil {
		return
	}
	for len(b) > 0 {
		if s.left > 0 {
			took := min(s.left, len(b))
			if room := kept(s.header[0]) - len(s.body); room > 0 {
				s.body = append(s.body, b[:min(took, room)]...)
			}
			s.left -= took
			b = b[took:]
			if s.left == 0 {
				n.encrypted(s, from, to)
			}
			continue
		}
		if len(s.header) == 0 && recordTypes[b[0]] == "" {
			n.clear(b, from, to)
			return
		}
		took := min(recordHeader-len(s.header), len(b))
		s.header = append(s.header, b[:took]...)
		b = b[took:]
		if len(s.header) < recordHeader {
			return
		}
		length := int(binary.BigEndian.Uint16(s.header[3:]))
		if s.header[1] != 3 || length == 0 || length > maxRecord { // it only began like one
			b = append(s.header, b...)
			*s = stream{}
			n.clear(b, from, to)
			return
		}
		s.left = length
	}
}

// TLS records (RFC 8446, section 5.1).
const (
	recordHeader = 5
	maxRecord    = 1<<14 + 2048 // TLS 1.2 allows that much, TLS 1.3 a little less
	handshake    = 22           // the type of records of the handshake, until it is encrypted
)

var recordTypes = map[byte]string{20: "change cipher spec", 21: "alert", handshake: "handshake", 23: "application data"}

// handshakes are the messages that are sent before keys are agreed upon.
var handshakes = map[byte]string{1: "ClientHello", 2: "ServerHello", 11: "Certificate", 12: "ServerKeyExchange", 14: "ServerHelloDone", 16: "ClientKeyExchange"}

func (n *notes) encrypted(s *stream, from, to string) {
	length := int(binary.BigEndian.Uint16(s.header[3:]))
	what := recordTypes[s.header[0]]
	if s.header[0] == handshake && len(s.body) > 0 && handshakes[s.body[0]] != "" {
		what += " (" + handshakes[s.body[0]] + ")"
	}
	n.add(from, to, fmt.Sprintf("TLS %s, %s", what, bytesInWords(length)), s.body, length)
	*s = stream{}
}

func bytesInWords(count int) string {
	if count == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", count)
}

func (n *notes) clear(b []byte, from, to string) {
	if exchange := exchangeIn(b); exchange != "" {
		n.exchange = exchange
	}
	summary := "clear text, " + bytesInWords(len(b))
	if line, _, ok := bytes.Cut(b, []byte("\r\n")); ok && len(line) < 200 && bytes.Contains(line, []byte("HTTP/1.")) {
		summary = string(line)
	}
	n.add(from, to, summary, bytes.Clone(b[:min(len(b), traffic.MaxBody)]), len(b))
}

func (n *notes) add(from, to, summary string, body []byte, size int) {
	n.log.Add(traffic.Message{
		Lane: traffic.Network, Kind: traffic.Bytes, Stage: n.stage, Exchange: n.exchange,
		From: from, To: to, Summary: summary, Body: body, Size: size,
	})
}

// exchangeIn finds the exchange in the head of a request in clear text.
func exchangeIn(b []byte) string {
	head, _, _ := bytes.Cut(b, []byte("\r\n\r\n"))
	for line := range strings.SplitSeq(string(head), "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if ok && textproto.CanonicalMIMEHeaderKey(name) == traffic.Header {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
