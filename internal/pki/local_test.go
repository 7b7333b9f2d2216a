package pki

import (
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"testing"
)

func local(t *testing.T, change func(*x509.Certificate)) *CA {
	t.Helper()
	ca, err := NewLocalCA("local")
	if err != nil {
		t.Fatal(err)
	}
	if change == nil {
		return ca
	}
	template := *ca.certificate
	change(&template)
	pair, certificate, err := sign(&template, &template, ca.key, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{Pair: pair, certificate: certificate, key: ca.key}
}

func TestALocalAuthorityIsGoodForThisMachineAlone(t *testing.T) {
	t.Parallel()
	free, err := NewCA("free")
	if err != nil {
		t.Fatal(err)
	}
	constrained := local(t, nil)
	tests := []struct {
		name  string
		ca    *CA
		hosts []string
		ok    bool
	}{
		{name: "its usual names", ca: constrained, hosts: LocalHosts, ok: true},
		{name: "another address of the loopback interface", ca: constrained, hosts: []string{"127.0.0.2"}, ok: true},
		{name: "a name of the internet", ca: constrained, hosts: []string{"www.example.com"}},
		{name: "a name that ends alike", ca: constrained, hosts: []string{"notlocalhost"}},
		{name: "a good name and a bad one", ca: constrained, hosts: []string{"localhost", "www.example.com"}},
		{name: "an address of the internet", ca: constrained, hosts: []string{"192.0.2.1"}},
		{name: "an IPv6 address of the internet", ca: constrained, hosts: []string{"2001:db8::1"}},
		{name: "all addresses", ca: constrained, hosts: []string{"::"}},
		{name: "a name of the internet, from an authority without constraints", ca: free, hosts: []string{"www.example.com"}, ok: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			pair, err := test.ca.Server("server", test.hosts...)
			if err != nil {
				t.Fatal(err)
			}
			server, err := Certificate(pair.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AddCert(test.ca.certificate)
			for _, host := range test.hosts {
				if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); (err == nil) != test.ok {
					t.Errorf("%s: %v", host, err)
				}
			}
		})
	}
	client, err := constrained.Client("client")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := Certificate(client.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(constrained.certificate)
	if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("it is good for clients, too")
	}
}

func TestCheckLocal(t *testing.T) {
	t.Parallel()
	network := func(text string) *net.IPNet {
		_, parsed, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	tests := []struct {
		name   string
		change func(*x509.Certificate)
		want   error // nil: it is local
	}{
		{name: "as it is made", change: func(*x509.Certificate) {}},
		{name: "narrower", change: func(c *x509.Certificate) { c.PermittedIPRanges = []*net.IPNet{network("127.0.0.1/32")} }},
		{name: "not critical", want: ErrNotLocal, change: func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false }},
		{name: "no names", want: ErrNotLocal, change: func(c *x509.Certificate) { c.PermittedDNSDomains = nil }},
		{name: "another name", want: ErrNotLocal, change: func(c *x509.Certificate) { c.PermittedDNSDomains = append(c.PermittedDNSDomains, "example.com") }},
		{name: "no addresses", want: ErrNotLocal, change: func(c *x509.Certificate) { c.PermittedIPRanges = nil }},
		{name: "wider", want: ErrNotLocal, change: func(c *x509.Certificate) { c.PermittedIPRanges = []*net.IPNet{network("126.0.0.0/7")} }},
		{name: "all of IPv6", want: ErrNotLocal, change: func(c *x509.Certificate) { c.PermittedIPRanges = append(c.PermittedIPRanges, network("::/0")) }},
		{name: "for anything", want: ErrNotLocal, change: func(c *x509.Certificate) { c.ExtKeyUsage = nil }},
		{name: "for mail, too", want: ErrNotLocal, change: func(c *x509.Certificate) {
			c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageEmailProtection)
		}},
	}
	for _, test := range tests {
		if err := CheckLocal(local(t, test.change).certificate); !errors.Is(err, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	free, err := NewCA("free")
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckLocal(free.certificate); !errors.Is(err, ErrNotLocal) {
		t.Errorf("an authority without constraints: %v", err)
	}
	pair, err := free.Server("server", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	server, err := Certificate(pair.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckLocal(server); err == nil {
		t.Error("a server's certificate passes")
	}
}

// TestCertificates reads all of them, and nothing else.
func TestCertificates(t *testing.T) {
	t.Parallel()
	one, err := NewRoot("one")
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewRoot("other")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := Certificates(slices.Concat(one.Certificate, other.Certificate)); err != nil || len(all) != 2 || all[1].Subject.CommonName != "other" {
		t.Errorf("%v, %v", all, err)
	}
	for name, data := range map[string][]byte{"nothing": nil, "a key": slices.Concat(one.Certificate, one.Key), "no certificate": []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")} {
		if all, err := Certificates(data); err == nil {
			t.Errorf("%s: %v", name, all)
		}
	}
}
