package guard

import (
	"container/list"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"keyladder/internal/problem"
)

// Limit is a token bucket: Burst calls at once, and PerSecond more each second.
type Limit struct {
	PerSecond float64
	Burst     int
}

// DefaultAddressLimit is the limit of one address where nothing else is said.
var DefaultAddressLimit = Limit{PerSecond: 20, Burst: 60}

// window is the time in which an empty bucket gets full: the burst is what the limit
// allows in that time.
func (l Limit) window() time.Duration {
	return time.Duration(float64(l.Burst) / l.PerSecond * float64(time.Second))
}

// announced is a limit as answers announce it.
type announced struct {
	Limit
	name   string
	policy string // the RateLimit-Policy
}

func announce(name string, limit Limit) announced {
	policy := append(make([]byte, 0, 40), '"')
	policy = append(policy, name...)
	policy = append(policy, `";q=`...)
	policy = strconv.AppendInt(policy, int64(limit.Burst), 10)
	policy = append(policy, ";w="...)
	policy = strconv.AppendInt(policy, int64(seconds(limit.window().Seconds())), 10)
	return announced{limit, name, string(policy)}
}

// taken is what a limit had left when a call was taken out.
type taken struct {
	limit      *announced
	left, wait int
}

// rateLimit appends the limit as RateLimit says it.
func (t taken) rateLimit(text []byte) []byte {
	text = append(text, '"')
	text = append(text, t.limit.name...)
	text = append(text, `";r=`...)
	text = strconv.AppendInt(text, int64(t.left), 10)
	text = append(text, ";t="...)
	return strconv.AppendInt(text, int64(t.wait), 10)
}

// The fields' names as net/http keeps them.
var (
	policyField = http.CanonicalHeaderKey("RateLimit-Policy")
	limitField  = http.CanonicalHeaderKey("RateLimit")
)

// announceLimits announces the limits that a call was taken out of on its answer, be it a
// refusal or not, in the fields of draft-ietf-httpapi-ratelimit-headers-11, which are lists:
//
//	RateLimit-Policy: "address";q=60;w=3, "app";q=600;w=3
//	RateLimit: "address";r=59;t=3, "app";r=599;t=3
//
// That is, 60 calls (q) in 3 seconds (w), of which 59 (r) are left. A bucket that fills
// all the time has no moment at which a window ends. We give as t the time in which
// r calls come back, so that a client which spreads r calls over t seconds keeps to the
// limit for good (section 8.5 warns of ratios that say more than the policy). With
// nothing left it is the time until the next call, and Retry-After says the same
// (section 6: it should not be before the end of t).
func (c *call) announceLimits() {
	if len(c.taken) == 0 {
		return
	}
	text := make([]byte, 0, 256)
	for i, t := range c.taken {
		text = append(separated(text, i), t.limit.policy...)
	}
	policies := len(text)
	for i, t := range c.taken {
		text = t.rateLimit(separated(text, i))
	}
	both := string(text)
	fields := &c.room.limitFields
	fields[0], fields[1] = both[:policies], both[policies:]
	header := c.echo.Response().Header()
	header[policyField], header[limitField] = fields[:1:1], fields[1:]
}

// separated puts a comma before the items of a list that are not the first.
func separated(text []byte, item int) []byte {
	if item == 0 {
		return text
	}
	return append(text, ", "...)
}

// take takes one call out of a bucket.
//
// It takes the call out now. Once the body was read, that is no longer the time when the head
// of the request came: a bucket that is asked about the past goes back there, and fills anew
// for the time since. With a body that comes slowly anybody could have it do so.
func take(c *call, now time.Time, bucket *rate.Limiter, limit *announced) *Refusal {
	allowed := bucket.AllowN(now, 1)
	tokens := bucket.TokensAt(now)
	left := max(0, int(tokens))
	if !allowed {
		left = 0
	}
	wait := seconds(float64(left) / limit.PerSecond)
	if left == 0 {
		wait = seconds((1 - min(tokens, 1)) / limit.PerSecond)
	}
	c.taken = append(c.taken, taken{limit, left, wait})
	if allowed {
		return nil
	}
	return refuse(problem.New(http.StatusTooManyRequests, "rate-limited", "Too many calls",
		fmt.Sprintf("There may be %d calls in %d s. Try again after the time in Retry-After, in seconds.", limit.Burst, seconds(limit.window().Seconds()))).
		With("Retry-After", strconv.Itoa(wait)),
		"more than %d calls at once and %g a second over time, per %s", limit.Burst, limit.PerSecond, limit.name)
}

// seconds rounds up to whole seconds, at least one: the fields know no smaller unit.
func seconds(s float64) int { return max(1, int(math.Ceil(s-1e-9))) }

// maxAddresses bounds the memory that strangers can make us use.
const maxAddresses = 1 << 16

// addressParts is in how many parts they are kept.
const addressParts = 1 << 6

// addressLimits keeps a bucket per address. It is cut up by address, so that calls from one
// do not wait for those from another.
type addressLimits struct {
	announced
	parts []addressPart
	seed  maphash.Seed
	max   int // of a part
}

// addressPart is a part of the addresses, the least recently used at the back.
type addressPart struct {
	mu      sync.Mutex
	entries map[netip.Addr]*list.Element
	recent  list.List
}

type addressEntry struct {
	address netip.Addr
	bucket  *rate.Limiter
	used    time.Time
}

func newAddressLimits(limit Limit, parts int) (*addressLimits, error) {
	if limit == (Limit{}) {
		limit = DefaultAddressLimit
	}
	if !(limit.PerSecond > 0) || math.IsInf(limit.PerSecond, 0) || limit.Burst < 1 {
		return nil, errors.New("the limit per address must be above zero")
	}
	a := &addressLimits{announced: announce("address", limit), parts: make([]addressPart, parts), seed: maphash.MakeSeed()}
	a.max = maxAddresses / parts
	for i := range a.parts {
		a.parts[i].entries = map[netip.Addr]*list.Element{}
	}
	return a, nil
}

// of is the bucket of an address. IPv6 addresses count by their /64, which is what one
// subscriber gets; each of them has more addresses than there are calls.
func (a *addressLimits) of(address netip.Addr, now time.Time) *rate.Limiter {
	if address.Is6() {
		prefix, _ := address.Prefix(64)
		address = prefix.Addr()
	}
	p := &a.parts[maphash.Comparable(a.seed, address)%uint64(len(a.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	if latest := p.recent.Front(); latest != nil { // most calls come in series
		if entry := latest.Value.(*addressEntry); entry.address == address {
			entry.used = now
			return entry.bucket
		}
	}
	if element, ok := p.entries[address]; ok {
		p.recent.MoveToFront(element)
		entry := element.Value.(*addressEntry)
		entry.used = now
		return entry.bucket
	}
	// A bucket that was idle for a window is full, so nothing is forgotten with it.
	// Beyond the maximum, the least recently used goes even if it is not.
	for back := p.recent.Back(); back != nil; back = p.recent.Back() {
		entry := back.Value.(*addressEntry)
		if now.Sub(entry.used) < a.window() && len(p.entries) < a.max {
			break
		}
		p.recent.Remove(back)
		delete(p.entries, entry.address)
	}
	entry := &addressEntry{address: address, bucket: rate.NewLimiter(rate.Limit(a.PerSecond), a.Burst), used: now}
	p.entries[address] = p.recent.PushFront(entry)
	return entry.bucket
}

// limitAddress limits the calls from one address. It comes first, before everything that
// could be asked again and again: refusals count as well, whatever they are for.
//
//keyladder:code guard-address-limit
func limitAddress(limits *addressLimits) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if c.listener == Inside { // the gateway has done so
			return nil
		}
		if !c.address.IsValid() {
			return refuse(problem.New(http.StatusBadRequest, "bad-request", "It can't be told from where the call comes", ""),
				"no client address; behind a terminator it is the one value of X-Forwarded-For")
		}
		return take(c, c.at, limits.of(c.address, c.at), &limits.announced)
	}
}

// limitApp limits the calls of one app. It comes after the proof: nobody else can use
// up what belongs to the app.
//
//keyladder:code guard-app-limit
func limitApp(now func() time.Time) func(*call) *Refusal {
	var latest atomic.Pointer[announced] // mostly it is the same app's, or another's of the same size
	return func(c *call) *Refusal {
		limit := latest.Load()
		if its := (Limit{PerSecond: c.app.PerSecond, Burst: c.app.Burst}); limit == nil || limit.Limit != its {
			made := announce("app", its)
			limit = &made
			latest.Store(limit)
		}
		return take(c, now(), c.app.Limiter, limit)
	}
}
