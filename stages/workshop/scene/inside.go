package scene

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/mobileclient/attacker"
	"keyladder/stages/workshop/terminator"
)

// maxAnswer is how much of an answer the attacker gets to see, in bytes.
const maxAnswer = 1 << 20

// newInside puts a TLS terminator of the bank's between the victim and the API, and
// hands the machine that it runs on to the attacker. Leave ends it.
func (s *Station) newInside(ctx context.Context, slug, reference string) (inside *attacker.Inside, leave func(), err error) {
	bad, err := s.newTerminator()
	if err != nil {
		return nil, nil, err
	}
	victim, err := s.newVictim(ctx, slug)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	programs, ctx := errgroup.WithContext(ctx)
	leave = func() {
		victim.leave()
		cancel()
		_ = programs.Wait() // it was asked to stop
	}
	road, err := s.lead(ctx, programs, bad)
	if err != nil {
		leave()
		return nil, nil, err
	}
	victim.join(road)
	if err := victim.signIn(ctx); err != nil {
		leave()
		return nil, nil, err
	}

	var mu sync.Mutex
	var rewrite func(*attacker.Captured)
	bad.OnRequest = func(r *http.Request, body []byte) []byte {
		mu.Lock()
		change := rewrite
		mu.Unlock()
		if change == nil {
			return body
		}
		call := attacker.Captured{Method: r.Method, Target: r.URL.RequestURI(), Header: r.Header, Body: bytes.Clone(body)}
		change(&call)
		r.Header = call.Header
		return call.Body
	}
	return &attacker.Inside{
		Calls: func() []attacker.Captured {
			var calls []attacker.Captured
			for _, c := range bad.Calls() {
				calls = append(calls, attacker.Captured{Method: c.Method, Target: c.Path, Header: c.Header, Body: c.Body, Certificate: c.ClientCert})
			}
			return calls
		},
		Send: func(ctx context.Context, c attacker.Captured) (int, []byte, error) {
			resp, err := bad.Send(ctx, terminator.Call{
				Method: c.Method, Path: c.Target, Header: c.Header, Body: c.Body, ClientCert: c.Certificate, Address: "127.0.0.1",
			})
			if err != nil {
				return 0, nil, err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
			return resp.StatusCode, body, err
		},
		Rewrite: func(change func(*attacker.Captured)) {
			mu.Lock()
			rewrite = change
			mu.Unlock()
		},
		VictimPays: func(ctx context.Context) error {
			screen, err := victim.pay(ctx, reference)
			if err == nil && !screen.OK {
				err = &attacker.Unpaid{Screen: screen}
			}
			return err
		},
	}, leave, nil
}

func (s *Station) newTerminator() (*terminator.Terminator, error) {
	server, err := s.folder.Pair("server")
	if err != nil {
		return nil, err
	}
	client, err := s.folder.Pair("terminator")
	if err != nil {
		return nil, err
	}
	roots, err := pki.Pool(s.roots)
	if err != nil {
		return nil, fmt.Errorf("read roots.pem: %w", err)
	}
	return terminator.New(terminator.Config{
		Certificate: server, Client: client, Roots: roots,
		Upstream: s.folder.Addresses.URL(deployment.TerminatedAPI), Routes: s.folder.Addresses.Routes(),
	})
}

// lead starts the terminator and, in front of it, the road that leads there: an access
// point at which what is addressed to the API arrives at the terminator instead, as it
// does when the bank's DNS names a load balancer.
func (s *Station) lead(ctx context.Context, programs *errgroup.Group, bad *terminator.Terminator) (address string, err error) {
	ends := map[string]string{} // host:port of the API → the terminator's listener
	for api, run := range map[string]func(context.Context, net.Listener) error{
		s.folder.Addresses.URL(deployment.API):      bad.Serve,
		s.folder.Addresses.URL(deployment.PlainAPI): bad.ServePlain,
	} {
		u, err := url.Parse(api)
		if err != nil {
			return "", err
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		ends[u.Host] = listener.Addr().String()
		programs.Go(func() error { return run(ctx, listener) })
	}
	road, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { road.Close() })
	programs.Go(func() error {
		for {
			conn, err := road.Accept()
			if err != nil {
				return nil // closed
			}
			go carry(ctx, conn, ends)
		}
	})
	return road.Addr().String(), nil
}

// carry brings one connection to where it leads.
func carry(ctx context.Context, from net.Conn, ends map[string]string) {
	defer from.Close()
	stop := context.AfterFunc(ctx, func() { from.Close() })
	defer stop()
	reader := bufio.NewReader(from)
	line, err := reader.ReadString('\n')
	if err != nil {
		return
	}
	end, ok := ends[strings.TrimSpace(line)]
	if !ok {
		return
	}
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", end)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, reader) // the end of either side ends both
		to.Close()
	}()
	_, _ = io.Copy(from, to)
}
