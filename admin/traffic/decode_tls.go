package traffic

import (
	"crypto/tls"
	"strconv"

	"keyladder/admin/traffic/hello"
)

// tlsHellos are the messages in which TLS negotiates, as whoever carries them reads them.
var tlsHellos = decoder{Decode: func(seen text) []section {
	h, ok := hello.Read([]byte(seen.Body))
	if !ok {
		return nil
	}
	s := section{Kind: "tls", Note: "in the clear, for whoever carries it"}
	switch h.Kind {
	case hello.Client:
		s.Title, s.Parts = "What the client offers, best first", []part{{Attributes: offered(h)}}
	case hello.KeyExchange:
		s.Title, s.Parts = "What the server chose: the group", []part{{Attributes: []attribute{groups(h, chosenGroup)}}}
	default:
		s.Title, s.Parts = "What the server chose", []part{chosen(h)}
	}
	return []section{s}
}}

func offered(h hello.Hello) []attribute {
	name := attribute{"SNI", h.Name, "the server that it wants to reach: the network learns that, too"}
	if h.Name == "" {
		name.Value = "none"
	}
	return []attribute{
		{"version", hello.Names(h.Versions, tls.VersionName), ""},
		groups(h, "of the key exchange; "+sharesInWords(h)),
		{"cipher suite", hello.Names(h.Suites, tls.CipherSuiteName), "how records are encrypted and authenticated; those that begin with TLS_ECDHE are for TLS 1.2"},
		alpn(h, "the protocol inside"),
		name,
	}
}

func sharesInWords(h hello.Hello) string {
	if len(h.Shares) == 0 {
		return "no key comes along"
	}
	return "keys come along for " + hello.Names(h.Shares, tls.CurveID.String)
}

const chosenGroup = "of the key exchange, which makes the keys of this connection"

func chosen(h hello.Hello) part {
	attributes := []attribute{{"version", hello.Names(h.Versions, tls.VersionName), ""}}
	if len(h.Groups) > 0 { // before TLS 1.3, it is in the ServerKeyExchange
		words := chosenGroup
		if h.Retry {
			words = "the client is to send its hello again, with a key for this group"
		}
		attributes = append(attributes, groups(h, words))
	}
	attributes = append(attributes, attribute{"cipher suite", hello.Names(h.Suites, tls.CipherSuiteName), "how records are encrypted and authenticated"})
	if !h.TLS13 {
		return part{
			Attributes: append(attributes, alpn(h, "the protocol inside")),
			Lines:      []string{"The server's certificate follows, in the clear, too."},
		}
	}
	return part{Attributes: attributes, Lines: []string{
		"From here on everything is encrypted, the server's certificate and its choice of the protocol inside (ALPN) as well.",
	}}
}

func groups(h hello.Hello, words string) attribute {
	return attribute{"group", hello.Names(h.Groups, tls.CurveID.String), words}
}

func alpn(h hello.Hello, words string) attribute {
	if len(h.Protocols) == 0 {
		return attribute{"ALPN", "none", words}
	}
	return attribute{"ALPN", hello.Names(h.Protocols, strconv.Quote), words}
}
