package hello

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/pki"
)

// overheard is a connection end that keeps what it sends.
type overheard struct {
	net.Conn
	sent *bytes.Buffer
}

func (o overheard) Write(p []byte) (int, error) {
	o.sent.Write(p)
	return o.Conn.Write(p)
}

// handshake makes a TLS connection, and returns what both ends say of it and the handshake
// messages that could be read on the way.
func handshake(t testing.TB, client, server *tls.Config) (state tls.ConnectionState, up, down [][]byte) {
	t.Helper()
	ca, err := pki.NewCA("Workshop CA")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Server("bank", "bank.test")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	server.Certificates = []tls.Certificate{certificate}
	client.InsecureSkipVerify = true // it is about what is said, not about whom one believes
	near, far := connection(t)
	var fromClient, fromServer bytes.Buffer
	served := make(chan error, 1)
	serving := tls.Server(overheard{far, &fromServer}, server)
	go func() { served <- serving.HandshakeContext(t.Context()) }()
	calling := tls.Client(overheard{near, &fromClient}, client)
	if err := calling.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	return calling.ConnectionState(), handshakes(fromClient.Bytes()), handshakes(fromServer.Bytes())
}

// connection is one between two ends, which both buffer: in TLS both may send at once.
func connection(t testing.TB) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if far, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return near, far
}

// handshakes are the contents of the handshake records in what one end sent, until it
// encrypts.
func handshakes(sent []byte) (contents [][]byte) {
	for len(sent) >= 5 {
		end := 5 + int(binary.BigEndian.Uint16(sent[3:]))
		if sent[0] == 22 {
			contents = append(contents, sent[5:end])
		}
		sent = sent[end:]
	}
	return contents
}

// What is read on the way is what both ends agree on.
func TestRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		client, server *tls.Config
		hellos         int // of the client
	}{
		"TLS 1.3":                {hellos: 1},
		"TLS 1.3, another group": {server: &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP521}}, hellos: 2},
		"TLS 1.2":                {client: &tls.Config{MaxVersion: tls.VersionTLS12}, hellos: 1},
		"TLS 1.2, P-384": {
			client: &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}},
			server: &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP384}}, hellos: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.client == nil {
				test.client = &tls.Config{}
			}
			if test.server == nil {
				test.server = &tls.Config{}
			}
			test.client.ServerName, test.client.NextProtos = "bank.test", []string{"h2", "http/1.1"}
			test.server.NextProtos = []string{"http/1.1"}
			state, up, down := handshake(t, test.client, test.server)

			var offers, answers []Hello
			for _, content := range up {
				if h, ok := Read(content); ok {
					offers = append(offers, h)
				}
			}
			for _, content := range down {
				if h, ok := Read(content); ok {
					answers = append(answers, h)
				}
			}
			if len(offers) != test.hellos || len(answers) == 0 {
				t.Fatalf("offers %+v, answers %+v", offers, answers)
			}
			offer, answer, last := offers[len(offers)-1], answers[0], answers[len(answers)-1]
			if offer.Kind != Client || offer.Name != "bank.test" || !slices.Equal(offer.Protocols, test.client.NextProtos) ||
				!slices.Contains(offer.Versions, state.Version) || !slices.Contains(offer.Suites, state.CipherSuite) || !slices.Contains(offer.Groups, state.CurveID) {
				t.Errorf("offered: %+v", offer)
			}
			if answer.Kind != Server || answer.Retry != (test.hellos > 1) || answer.TLS13 != (state.Version == tls.VersionTLS13) {
				t.Errorf("answered: %+v", answer)
			}
			if !slices.Equal(answer.Versions, []uint16{state.Version}) || !slices.Equal(answer.Suites, []uint16{state.CipherSuite}) || !slices.Equal(last.Groups, []tls.CurveID{state.CurveID}) {
				t.Errorf("chosen: %+v and %+v; both ends say %s, %s, %s", answer, last, tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), state.CurveID)
			}
			switch {
			case answer.TLS13 && (last.Kind != Server || last.Retry || len(answer.Protocols) > 0 || !slices.Contains(offer.Shares, state.CurveID)):
				t.Errorf("TLS 1.3: %+v, offered %+v", last, offer)
			case !answer.TLS13 && (last.Kind != KeyExchange || !slices.Equal(answer.Protocols, []string{state.NegotiatedProtocol})):
				t.Errorf("TLS 1.2: %+v, %+v", answer, last)
			}
		})
	}
}

// A message that is cut off is not read, wherever that is, nor is one with something added.
func TestCutOff(t *testing.T) {
	t.Parallel()
	_, up, down := handshake(t, &tls.Config{ServerName: "bank.test"}, &tls.Config{})
	for _, whole := range [][]byte{up[0], down[0]} {
		if _, ok := Read(whole); !ok {
			t.Fatalf("not read: %x", whole)
		}
		for i := range whole {
			if h, ok := Read(whole[:i]); ok {
				t.Errorf("%d of %d bytes are read as %+v", i, len(whole), h)
			}
		}
		longer := append(bytes.Clone(whole), 0)
		longer[3]++ // the length
		if h, ok := Read(longer); ok && h.Kind != KeyExchange {
			t.Errorf("a byte more is read as %+v", h)
		}
	}
	for _, strange := range []string{"", "\x01\x00\x00\x00", "\x0b\x00\x00\x00", "\x0c\x00\x00\x03\x01\x00\x17", "GET / HTTP/1.1\r\n"} {
		if h, ok := Read([]byte(strange)); ok {
			t.Errorf("%q is read as %+v", strange, h)
		}
	}
}

func FuzzRead(f *testing.F) {
	_, up, down := handshake(f, &tls.Config{ServerName: "bank.test", NextProtos: []string{"h2"}}, &tls.Config{})
	f.Add(up[0])
	f.Add(down[0])
	f.Add([]byte("\x0c\x00\x00\x03\x03\x00\x17"))
	f.Fuzz(func(t *testing.T, content []byte) {
		h, ok := Read(content)
		if ok && h.Kind != Client && len(h.Versions)+len(h.Suites)+len(h.Groups) > 3 {
			t.Errorf("a server chose more than one of a kind: %+v", h)
		}
		if ok && h.Kind != KeyExchange && (len(h.Versions) == 0 || len(h.Suites) == 0) {
			t.Errorf("no version, or no suite: %+v", h)
		}
		if !ok && h.Kind != 0 {
			t.Errorf("not read, and yet %+v", h)
		}
	})
}

func TestInOneLine(t *testing.T) {
	t.Parallel()
	for want, h := range map[string]Hello{
		`offered: TLS 1.3, TLS 1.2; X25519MLKEM768, X25519; TLS_AES_128_GCM_SHA256; "h2"; for "bank.test"`: {
			Kind: Client, Versions: []uint16{tls.VersionTLS13, tls.VersionTLS12}, Groups: []tls.CurveID{tls.X25519MLKEM768, tls.X25519},
			Suites: []uint16{tls.TLS_AES_128_GCM_SHA256}, Protocols: []string{"h2"}, Name: "bank.test",
		},
		"chosen: TLS 1.3, X25519, TLS_AES_128_GCM_SHA256": {
			Kind: Server, Versions: []uint16{tls.VersionTLS13}, Groups: []tls.CurveID{tls.X25519}, Suites: []uint16{tls.TLS_AES_128_GCM_SHA256},
		},
		"asked for another hello: TLS 1.3, CurveP521": {Kind: Server, Retry: true, Versions: []uint16{tls.VersionTLS13}, Groups: []tls.CurveID{tls.CurveP521}},
		"chosen: CurveP256":                           {Kind: KeyExchange, Groups: []tls.CurveID{tls.CurveP256}},
	} {
		if got := h.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := Names(make([]int, maxNames+3), func(int) string { return "x" }); !strings.HasSuffix(got, ", x, and 3 more") {
		t.Errorf("a long list: %s", got)
	}
}
