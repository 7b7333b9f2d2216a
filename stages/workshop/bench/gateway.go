package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// Gateway is what a gateway that issues the tokens costs.
type Gateway struct {
	Stage   string  `json:"stage"`
	CallUS  float64 `json:"call_us"`  // a call through it, one after the other; microseconds
	AddedUS float64 `json:"added_us"` // that this takes longer than the call that the gateway makes
	SignIns float64 `json:"sign_ins"` // a second, over some at once: from the pushed request to the first call's answer
}

// gateways measures the gateway of each stage that has one.
func (o *Options) gateways(ctx context.Context, who identity, at addresses) (measured []Gateway, err error) {
	for _, stage := range o.Stages.Built() {
		if stage.Call.Gateway != catalog.ThroughGateway {
			continue
		}
		c, err := newCaller(stage, who, at)
		if err != nil {
			return nil, err
		}
		of, err := c.gateway(ctx, o.Dir, o.Duration)
		if err != nil {
			return nil, fmt.Errorf("measure the gateway at %s: %w", stage.Slug, err)
		}
		measured = append(measured, of)
	}
	return measured, nil
}

// gateway makes a call through the gateway again and again, and by turns the one that the gateway makes
// of it. After that users sign in.
func (c *caller) gateway(ctx context.Context, dir string, duration time.Duration) (Gateway, error) {
	if err := c.settle(ctx); err != nil {
		return Gateway{}, err
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: c.TLS(c.roots), MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	call := protect.Call{Path: Account}
	gateway, err := c.asGateway(dir)
	if err != nil {
		return Gateway{}, err
	}
	defer gateway.http.CloseIdleConnections()
	const pairs, warm = 300, 30
	var through, added []float64
	for i := range pairs + warm {
		begin := time.Now()
		if _, err := c.made(ctx, client, call); err != nil {
			return Gateway{}, err
		}
		took := time.Since(begin)
		alone, err := gateway.call(ctx)
		if err != nil {
			return Gateway{}, err
		}
		if i >= warm {
			through = append(through, float64(took.Nanoseconds())/1000)
			added = append(added, float64((took-alone).Nanoseconds())/1000)
		}
	}
	perSecond, err := c.signIns(ctx, client, call, duration)
	return Gateway{Stage: c.stage.Slug, CallUS: rounded(median(through), 1), AddedUS: rounded(median(added), 1), SignIns: rounded(perSecond, 10)}, err
}

// signInsAtOnce are fewer than the attempts on one user that the throttle lets begin: it counts each
// as failed until it is over.
const signInsAtOnce = 4

// signIns has the user sign in over some connections at once, for about that long, each time up to the
// answer to a first call, and returns how often a second.
func (c *caller) signIns(ctx context.Context, client *http.Client, first protect.Call, length time.Duration) (perSecond float64, err error) {
	var group errgroup.Group
	begin := time.Now()
	counts := make([]int, signInsAtOnce)
	for i := range counts {
		group.Go(func() error {
			for time.Since(begin) < length {
				opened, err := c.onPages(ctx, client)
				if err != nil {
					return err
				}
				signedIn := *c
				if signedIn.Caller, err = c.As(opened.Show); err != nil {
					return err
				}
				if _, err := signedIn.made(ctx, client, first); err != nil {
					return err
				}
				counts[i]++
			}
			return nil
		})
	}
	err = group.Wait()
	sum := 0
	for _, count := range counts {
		sum += count
	}
	return float64(sum) / time.Since(begin).Seconds(), err
}

// asGateway makes calls as the gateway does.
type asGateway struct {
	http   *http.Client
	url    string
	key    token.Key
	claims forwarded.Claims
}

func (c *caller) asGateway(dir string) (*asGateway, error) {
	folder, err := deployment.Open(dir, deployment.Mediator)
	if err != nil {
		return nil, err
	}
	certificate, err := folder.Pair("manage")
	if err != nil {
		return nil, err
	}
	roots, err := pki.Pool(c.roots)
	if err != nil {
		return nil, err
	}
	at, slug := folder.Addresses, c.stage.Slug
	g := &asGateway{
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: roots, Certificates: []tls.Certificate{certificate},
		}}},
		url: at.Stage(deployment.InsideAPI, slug) + Account,
		claims: forwarded.Claims{
			Issuer: at.Stage(deployment.MediatorService, slug), Audience: at.Stage(deployment.InsideAPI, slug) + "/v1", ClientID: c.id,
			Subject: c.user, Scope: "accounts:read", Device: "bench", UsersOn: "bench", Method: http.MethodGet, Path: "/" + slug + Account,
		},
	}
	return g, folder.JSON(deployment.ForwardingKey, &g.key)
}

// call makes a call, and returns how long that has taken.
func (g *asGateway) call(ctx context.Context) (time.Duration, error) {
	claims, now := g.claims, time.Now().Truncate(time.Second)
	claims.Issued, claims.Expires, claims.ID = now, now.Add(forwarded.Lifetime), token.NewID()
	text, err := forwarded.Sign(g.key, claims)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url, nil)
	if err != nil {
		return 0, err
	}
	forwarded.Set(request.Header, text)
	request.Header.Set("X-Forwarded-For", "127.0.0.1")
	begin := time.Now()
	response, err := g.http.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	took := time.Since(begin)
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("the API answers its gateway %s", response.Status))
	}
	return took, err
}
