// Package marketrates asks a third party for its rates, with the bank's key, on behalf of the bank's
// apps. The gateway uses it: so no app carries the key, and none can be made to give it away.
//
// The third party counts calls, whoever of the bank's apps they are for. So an answer is passed on
// for as long as it holds, and a quota that is used up is not asked for again before there is
// something in it. Callers wait for one another: there is one question at a time.
package marketrates

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"

	"keyladder/backend/rates/customers"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
)

// Secret is the name of the key in secrets.json of the role mediator.
const Secret = "market-rates"

const (
	patience   = 5 * time.Second // that the third party may take for an answer
	mostAnswer = 64 << 10        // bytes of it
	mostKept   = time.Minute     // for which an answer is believed, whatever it says
	afterFault = time.Second     // for which a third party that does not answer is left alone
)

// Config is what a client needs.
type Config struct {
	Folder *deployment.Folder // of the role mediator
	Log    *traffic.Log       // nil: no records
	Logger *slog.Logger       // nil: the default one
	Now    func() time.Time   // nil: the clock
}

// Client asks for rates. It is safe for concurrent use.
type Client struct {
	url, key string
	http     *http.Client
	log      *traffic.Log
	logger   *slog.Logger
	now      func() time.Time

	asking sync.Mutex // held while somebody asks
	mu     sync.Mutex
	latest State
}

// State is what came of the latest question.
type State struct {
	At    time.Time // when it was answered; zero: there was none
	Until time.Time // for how long that holds
	Body  []byte    // JSON; nil: there are no rates
	Why   string    // not; empty: there are

	problem *problem.Problem // for apps, where there are none
	retry   time.Time        // when it may be better; zero: that is not known
}

// Unavailable means that there are no rates.
type Unavailable struct {
	Problem *problem.Problem // for the app
	Reason  string           // for records and logs
}

func (u *Unavailable) Error() string { return u.Reason }

// answer is what becomes of a call at a time.
func (s State) answer(at time.Time) ([]byte, error) {
	if s.Why == "" {
		return s.Body, nil
	}
	told := *s.problem
	if !s.retry.IsZero() {
		told.With("Retry-After", strconv.Itoa(max(1, int(math.Ceil(s.retry.Sub(at).Seconds())))))
	}
	return nil, &Unavailable{Problem: &told, Reason: s.Why}
}

// New makes a client of the deployment's rates API.
func New(config Config) (*Client, error) {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	var secrets map[string]string
	if err := config.Folder.JSON("secrets.json", &secrets); err != nil {
		return nil, err
	}
	if secrets[Secret] == "" {
		return nil, fmt.Errorf("%s has no key named %s", config.Folder.Path("secrets.json"), Secret)
	}
	pool, err := config.Folder.Pool("roots.pem")
	if err != nil {
		return nil, err
	}
	return &Client{
		url: config.Folder.Addresses.URL(deployment.RatesAPI) + "/v1/market-rates", key: secrets[Secret], log: config.Log, logger: config.Logger, now: config.Now,
		http: serve.Client(pool, config.Folder.Addresses.Routes(), patience),
	}, nil
}

// Close closes connections that wait for the next question.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Latest is what came of the latest question.
func (c *Client) Latest() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest
}

// State is what an admin sees of it.
func (c *Client) State() manage.GatewayRates {
	latest := c.Latest()
	state := manage.GatewayRates{URL: c.url, Key: c.key != "", Why: latest.Why}
	if !latest.At.IsZero() {
		state.At, state.Until = &latest.At, &latest.Until
	}
	return state
}

// Get returns rates as JSON for a call that is made at a stage: those that were got before, as long as
// they hold. The error is an [*Unavailable], or that the call was given up.
//
//keyladder:code market-rates
func (c *Client) Get(from *http.Request, stage string) ([]byte, error) {
	if latest := c.Latest(); c.holds(latest) {
		return latest.answer(c.now())
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	if latest := c.Latest(); c.holds(latest) { // somebody else has asked meanwhile
		return latest.answer(c.now())
	}
	if err := from.Context().Err(); err != nil {
		return nil, err
	}
	latest := c.ask(from, stage)
	if latest.Why != "" {
		c.logger.Error("market rates", "error", latest.Why)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latest = latest
	return latest.answer(c.now())
}

func (c *Client) holds(s State) bool { return c.now().Before(s.Until) }

// ask asks, whether or not the call that it is for is still waiting: others do.
func (c *Client) ask(from *http.Request, stage string) State {
	r, err := http.NewRequestWithContext(context.WithoutCancel(from.Context()), http.MethodGet, c.url, nil)
	if err != nil {
		return c.unreachable(err)
	}
	r.Header.Set(customers.Field, c.key)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "HarbourMediator/1.0")
	r.Header.Set(traffic.StageHeader, stage)
	if exchange := traffic.ExchangeOf(from); exchange != "" {
		r.Header.Set(traffic.Header, exchange)
	}
	record := c.log.Asked(string(deployment.Mediator), stage, r, nil)
	response, err := c.http.Do(r)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer+1))
	if err != nil {
		return c.unreachable(err)
	}
	record(response, body)
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case response.StatusCode == http.StatusTooManyRequests:
		return c.usedUp(response.Header)
	case response.StatusCode != http.StatusOK:
		return c.unusable("the third party answers %d", response.StatusCode)
	case len(body) > mostAnswer:
		return c.unusable("the third party's answer is longer than %d bytes", mostAnswer)
	case media != "application/json" || !json.Valid(body):
		return c.unusable("the third party's answer is no JSON")
	}
	at := c.now()
	return State{At: at, Until: at.Add(maxAge(response.Header)), Body: body}
}

// usedUp is the state in which the bank has asked too often. To the app that is no fault of its own,
// so it is not told that it had made too many calls.
func (c *Client) usedUp(header http.Header) State {
	at := c.now()
	seconds, _ := strconv.Atoi(header.Get("Retry-After")) // what can't be read is 0
	wait := time.Duration(max(1, seconds)) * time.Second
	return State{
		At: at, Until: at.Add(min(wait, mostKept)), retry: at.Add(wait),
		Why: "the bank's quota with the third party is used up: " + cmp.Or(header.Get("RateLimit"), "it does not say which"),
		problem: problem.New(http.StatusServiceUnavailable, "quota-used-up", "The bank can't ask for more market rates at the moment",
			"The calls that it has bought are used up. Try again after the time in Retry-After, in seconds."),
	}
}

func (c *Client) unreachable(err error) State {
	at := c.now()
	return State{
		At: at, Until: at.Add(afterFault), retry: at.Add(afterFault), Why: fmt.Sprintf("ask the third party for rates: %v", err),
		problem: problem.New(http.StatusServiceUnavailable, "rates-unavailable", "Market rates can't be had at the moment",
			"Try again after the time in Retry-After, in seconds."),
	}
}

func (c *Client) unusable(format string, args ...any) State {
	at := c.now()
	return State{
		At: at, Until: at.Add(afterFault), Why: fmt.Sprintf(format, args...),
		problem: problem.New(http.StatusBadGateway, "rates-unavailable", "Market rates can't be had at the moment",
			"The server that the bank asks for them gives no answer that can be used."),
	}
}

var maxAgeOf = regexp.MustCompile(`(?:^|[ ,])max-age=(\d{1,9})(?:$|[ ,])`)

// maxAge is for how long an answer holds (RFC 9111, section 5.2.2.1).
func maxAge(header http.Header) time.Duration {
	found := maxAgeOf.FindStringSubmatch(header.Get("Cache-Control"))
	if found == nil {
		return 0
	}
	seconds, _ := strconv.Atoi(found[1]) // nine digits fit
	return min(time.Duration(seconds)*time.Second, mostKept)
}
