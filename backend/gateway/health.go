package gateway

import (
	"context"
	"crypto/tls"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
)

// failures are how many calls in a row have to fail until the API counts as down.
const failures = 3

// health is what is known about the API. The zero value believes that it is up.
type health struct {
	mu      sync.Mutex
	failed  int // calls in a row
	isDown  bool
	why     string
	since   time.Time // that it is up, or down; zero: nothing has shown it
	checked time.Time // last, in the background
	next    time.Time // when it will be
}

// down says whether the API is known to be down, and after what time it is looked at again.
func (h *health) down(now time.Time) (wait time.Duration, down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return max(0, h.next.Sub(now)), h.isDown
}

func (h *health) reason() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.why
}

// failure notes that a call has failed.
func (h *health) failure(now time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed++; h.failed >= failures {
		h.set(now, err)
	}
}

// success notes that a call was answered.
func (h *health) success() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = 0
}

// found notes what was found in the background; nil: it is up.
func (h *health) found(now time.Time, err error, next time.Duration) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checked, h.next = now, now.Add(next)
	if err == nil {
		h.failed = 0
	}
	return h.set(now, err)
}

// set needs mu.
func (h *health) set(now time.Time, err error) (changed bool) {
	changed = h.since.IsZero() || h.isDown != (err != nil)
	if changed {
		h.since = now
	}
	h.isDown, h.why = err != nil, ""
	if err != nil {
		h.why = err.Error()
	}
	return changed
}

// Watch looks at whether the API is there until ctx ends.
func (g *Gateway) Watch(ctx context.Context) {
	ticker := time.NewTicker(g.config.Every)
	defer ticker.Stop()
	for {
		g.look(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// look makes a connection to the API, as for a call, and closes it. A program that hangs does not
// finish the handshake.
func (g *Gateway) look(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, handshake)
	defer cancel()
	err := g.connect(limited)
	if ctx.Err() != nil {
		return
	}
	if changed := g.health.found(g.config.Now(), err, g.config.Every); changed && err != nil {
		g.config.Logger.Warn("the API can't be reached: calls are refused until it can be", "error", err)
	} else if changed {
		g.config.Logger.Info("the API can be reached")
	}
}

func (g *Gateway) connect(ctx context.Context) error {
	api, err := url.Parse(g.config.Folder.Addresses.URL(deployment.InsideAPI))
	if err != nil {
		return err
	}
	raw, err := g.transport.DialContext(ctx, "tcp", api.Host)
	if err != nil {
		return err
	}
	defer raw.Close()
	settings := g.transport.TLSClientConfig.Clone()
	settings.ServerName = api.Hostname()
	return tls.Client(raw, settings).HandshakeContext(ctx)
}

// counts are about the calls since the gateway has begun.
type counts struct {
	forwarded atomic.Int64 // answered by the API
	again     atomic.Int64 // sent once more
	failed    atomic.Int64 // not answered
	refused   atomic.Int64 // not sent, while the API was down
	checked   atomic.Int64 // for other gateways
}

// State is what is known about the API, and what has become of calls since the gateway has begun.
func (g *Gateway) State() manage.Gateway {
	g.health.mu.Lock()
	defer g.health.mu.Unlock()
	return manage.Gateway{
		Upstream: g.config.Folder.Addresses.URL(deployment.InsideAPI), WAF: g.waf.State(),
		Down: g.health.isDown, Reason: g.health.why, Since: g.health.since, Checked: g.health.checked,
		Forwarded: g.counts.forwarded.Load(), SentAgain: g.counts.again.Load(), Failed: g.counts.failed.Load(),
		Refused: g.counts.refused.Load(), Subrequests: g.counts.checked.Load(),
	}
}
