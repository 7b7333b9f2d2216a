package mediator

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// installation is one of an app's, as it named itself when it was attested.
type installation struct{ client, device string }

// maxInstallations bounds the memory. Beyond it, those are forgotten that have asked for nothing
// for the longest time.
const maxInstallations = 1 << 16

// deviceLimits keeps a bucket per installation.
type deviceLimits struct {
	guard.Limit
	mu      sync.Mutex
	buckets *lru.Cache[installation, *rate.Limiter]
}

func newDeviceLimits(limit guard.Limit) (*deviceLimits, error) {
	if !(limit.PerSecond > 0) || math.IsInf(limit.PerSecond, 0) || limit.Burst < 1 {
		return nil, errors.New("the limit per device must be above zero")
	}
	buckets, err := lru.New[installation, *rate.Limiter](maxInstallations)
	return &deviceLimits{Limit: limit, buckets: buckets}, err
}

// take refuses a request where its installation has made too many.
//
//keyladder:code mediator-device-limit
func (l *deviceLimits) take(from installation, now time.Time) error {
	l.mu.Lock()
	bucket, ok := l.buckets.Get(from)
	if !ok {
		bucket = rate.NewLimiter(rate.Limit(l.PerSecond), l.Burst)
		l.buckets.Add(from, bucket)
	}
	l.mu.Unlock()
	if bucket.AllowN(now, 1) {
		return nil
	}
	wait := int(math.Ceil((1 - bucket.TokensAt(now)) / l.PerSecond))
	return oauth.Refuse(catalog.CheckDeviceLimit, problem.New(http.StatusTooManyRequests, "rate-limited", "Too many requests from this installation",
		"Try again after the time in Retry-After, in seconds.").With("Retry-After", strconv.Itoa(max(1, wait))),
		"more than %d requests at once and %g a second over time, of the installation %.80q of %s", l.Burst, l.PerSecond, from.device, from.client)
}
