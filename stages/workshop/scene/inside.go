package scene

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/workshop/terminator"
)

// maxAnswer is how much of an answer the attacker gets to see, in bytes.
const maxAnswer = 1 << 20

// newInside puts a TLS terminator of the bank's between the victim and the API, and
// hands the machine that it runs on to the attacker. Leave ends it.
func (s *Station) newInside(ctx context.Context, slug, reference string) (inside *attack.Inside, leave func(), err error) {
	gateway := false
	if stage, ok := s.stages.Lookup(slug); ok {
		gateway = behindGateway(stage.Policies)
	}
	bad, api, err := NewTerminator(s.folder, gateway)
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
	road, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		leave()
		return nil, nil, err
	}
	programs.Go(func() error {
		return bad.ServeRoad(ctx, road, api, s.folder.Addresses.URL(deployment.PlainAPI))
	})
	victim.join(road.Addr().String())
	if err := victim.signIn(ctx); err != nil {
		leave()
		return nil, nil, err
	}

	var mu sync.Mutex
	var rewrite func(*attack.Captured)
	var hold func(attack.Captured) bool
	bad.Hold = func(c terminator.Call) bool {
		mu.Lock()
		defer mu.Unlock()
		return hold != nil && hold(captured(c))
	}
	bad.OnRequest = func(r *http.Request, body []byte) []byte {
		mu.Lock()
		change := rewrite
		mu.Unlock()
		if change == nil {
			return body
		}
		call := attack.Captured{Method: r.Method, Target: r.URL.RequestURI(), Header: r.Header, Body: bytes.Clone(body)}
		change(&call)
		r.Header = call.Header
		return call.Body
	}
	return &attack.Inside{
		Calls: func() []attack.Captured {
			var calls []attack.Captured
			for _, c := range bad.Calls() {
				calls = append(calls, captured(c))
			}
			return calls
		},
		Send: func(ctx context.Context, c attack.Captured) (int, []byte, error) {
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
		Hold: func(take func(attack.Captured) bool) {
			mu.Lock()
			hold = take
			mu.Unlock()
		},
		Rewrite: func(change func(*attack.Captured)) {
			mu.Lock()
			rewrite = change
			mu.Unlock()
		},
		VictimPays: func(ctx context.Context) error {
			screen, err := victim.pay(ctx, reference)
			if err == nil && !screen.OK {
				err = &attack.Unpaid{Screen: screen}
			}
			return err
		},
	}, leave, nil
}

func captured(c terminator.Call) attack.Captured {
	return attack.Captured{Method: c.Method, Target: c.Path, Header: c.Header, Body: c.Body, Certificate: c.ClientCert}
}

// NewTerminator makes the TLS terminator of the deployment whose attacker folder it is: the machine
// that it runs on is the attacker's. It stands in front of the API, or of the gateway in front of that;
// api is the address of the one, at which apps call.
func NewTerminator(folder *deployment.Folder, gateway bool) (made *terminator.Terminator, api string, err error) {
	service, upstream := deployment.API, deployment.TerminatedAPI
	if gateway {
		service, upstream = deployment.MediatorService, deployment.TerminatedMediator
	}
	server, err := folder.Pair("server")
	if err != nil {
		return nil, "", err
	}
	client, err := folder.Pair("terminator")
	if err != nil {
		return nil, "", err
	}
	trusted, err := folder.Read("roots.pem")
	if err != nil {
		return nil, "", err
	}
	roots, err := pki.Pool(trusted)
	if err != nil {
		return nil, "", fmt.Errorf("read roots.pem: %w", err)
	}
	made, err = terminator.New(terminator.Config{
		Certificate: server, Client: client, Roots: roots,
		Upstream: folder.Addresses.URL(upstream), Routes: folder.Addresses.Routes(),
	})
	return made, folder.Addresses.URL(service), err
}
