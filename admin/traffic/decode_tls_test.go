package traffic

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/traffic"
)

// clientHello is the record in which a client of crypto/tls begins, without its header.
func clientHello(t *testing.T, config *tls.Config) string {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	go func() { _ = tls.Client(far, config).Handshake() }() // fails when near is closed
	header := make([]byte, 5)
	if _, err := io.ReadFull(near, header); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(near, content); err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestTLSHellos(t *testing.T) {
	t.Parallel()
	random := strings.Repeat("r", 32)
	tls13 := "\x02\x00\x00\x36\x03\x03" + random + "\x00\x13\x01\x00\x00\x0e\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x04\x00\x1d\x00\x00"
	for name, test := range map[string]struct {
		body string
		want []string // "name: value" of attributes, among others; none: nothing is laid out
		line string   // part of what is said below
	}{
		"ClientHello": {
			body: clientHello(t, &tls.Config{ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}),
			want: []string{"version: TLS 1.3, TLS 1.2", `ALPN: "h2", "http/1.1"`, "SNI: localhost"},
		},
		"ServerHello of TLS 1.3": {
			body: strings.Replace(tls13, "\x00\x00\x36", "\x00\x00"+string(rune(len(tls13)-4)), 1),
			want: []string{"version: TLS 1.3", "group: X25519", "cipher suite: TLS_AES_128_GCM_SHA256"}, line: "From here on everything is encrypted",
		},
		"ServerHello of TLS 1.2": {
			body: "\x02\x00\x00\x26\x03\x03" + random + "\x00\xc0\x2b\x00",
			want: []string{"version: TLS 1.2", "cipher suite: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "ALPN: none"}, line: "certificate follows, in the clear",
		},
		"ServerKeyExchange": {body: "\x0c\x00\x00\x03\x03\x00\x17", want: []string{"group: CurveP256"}},
		"a request":         {body: "GET / HTTP/1.1\r\n\r\n"},
		"application data":  {body: "\x17\x9a\x11"},
	} {
		var got, lines []string
		for _, s := range takeApart(text{Body: test.body}, traffic.Bytes, &traffic.Verdict{Allowed: true}) {
			if s.Kind != "tls" || s.Note != "in the clear, for whoever carries it" {
				t.Errorf("%s: %+v", name, s)
			}
			for _, a := range s.Parts[0].Attributes {
				got = append(got, a.Name+": "+a.Value)
			}
			lines = append(lines, s.Parts[0].Lines...)
		}
		if len(test.want) == 0 && len(got) > 0 || !strings.Contains(strings.Join(lines, "\n"), test.line) {
			t.Errorf("%s: %q, %q", name, got, lines)
		}
		for _, attribute := range test.want {
			if !slices.Contains(got, attribute) {
				t.Errorf("%s: no %q in %q", name, attribute, got)
			}
		}
	}
}
