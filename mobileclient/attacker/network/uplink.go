package network

import (
	"cmp"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"

	"keyladder/internal/route"
	"keyladder/internal/traffic"
)

// Limits of all tools on the network.
const (
	Timeout = 10 * time.Second
	MaxBody = 4 << 20
)

// Uplink is the way on to the API, and where what passes is recorded.
type Uplink struct {
	Listen string // host:port for phones; empty: a free port of this machine
	Routes route.Table
	TLS    *tls.Config // of connections to the API
	Record func(traffic.Message)
}

func (u *Uplink) listen() (net.Listener, error) {
	return net.Listen("tcp", cmp.Or(u.Listen, "127.0.0.1:0"))
}

// The names of attackers in traffic records.
const (
	Party      = "attacker"              // their programs and machines
	AppParty   = "attacker's app"        // apps on phones of their own, genuine or not
	AgentParty = "attacker's user agent" // the user agents of these phones
)

// Head is the head of a request or a response, as it is recorded.
func Head(start, host string, fields http.Header) string {
	var text strings.Builder
	text.WriteString(start + "\r\n")
	if host != "" {
		text.WriteString(host + "\r\n")
	}
	_ = fields.Write(&text) // a strings.Builder takes everything
	return text.String()
}

// Changed is the record of a call that somebody else has sent and the attacker has changed.
func Changed(where, method, target string, header http.Header) traffic.Message {
	return traffic.Message{
		Lane: traffic.Network, Exchange: header.Get(traffic.Header), Kind: traffic.Note,
		From: Party, To: "resource", Summary: "changed " + where + ": " + method + " " + target,
	}
}
