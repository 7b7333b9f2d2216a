package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"keyladder/stages/catalog"
)

// Rates and Account are the paths that are measured unless others are asked for: the one is
// answered from memory, the other from the ledger.
const (
	Rates   = "/v1/rates"
	Account = "/v1/accounts/HB-1001"
)

// Paths are all paths that can be measured.
func Paths() []string { return []string{Rates, Account} }

// Options say what to measure.
type Options struct {
	Stages   catalog.Set // the built ones among them are measured
	Paths    []string
	Duration time.Duration           // for which each stage is measured at each path, in all
	Progress func(round, rounds int) // is told of each round that is over; of number 0, when the first begins
	Server   *exec.Cmd               // runs [Serve] in Dir
	Dir      string                  // an empty folder
}

// Call is what a stage's protection costs a call.
type Call struct {
	Stage     string            `json:"stage"`
	Path      string            `json:"path"`
	Transport catalog.Transport `json:"transport"`  // that both were measured over
	PerSecond float64           `json:"per_second"` // over some connections at once
	Ratio     float64           `json:"ratio"`      // to the calls a second without the guard, over the same transport
	AddedUS   float64           `json:"added_us"`   // that a call takes longer than without the guard, when it is made alone; microseconds
}

// Base is what the server does without a guard.
type Base struct {
	Handler   string            `json:"handler"` // "unguarded": the API's handler; "net/http": a fixed answer
	Path      string            `json:"path"`
	Transport catalog.Transport `json:"transport"`
	PerSecond float64           `json:"per_second"`
	CallUS    float64           `json:"call_us"` // that a call takes when it is made alone
}

// The handlers of [Base].
const (
	Unguarded = "unguarded"
	NetHTTP   = "net/http"
)

// Result is what was measured.
type Result struct {
	Calls []Call `json:"calls"`
	Bases []Base `json:"bases"`

	Attestations []Attestation `json:"attestations,omitempty"` // at stages with an attestation service
	Mediators    []Mediator    `json:"mediators,omitempty"`    // at stages with a mediator
	Gateways     []Gateway     `json:"gateways,omitempty"`     // at stages with a gateway

	Operations Operations `json:"operations"`
	Senders    []Sender   `json:"senders,omitempty"` // at stages whose calls carry a proof of the sender
	Proofs     *Proofs    `json:"proofs,omitempty"`  // where there are such

	Machine Machine `json:"machine"`
}

const (
	connections = 64                    // at once: with a few, client and server wait for each other now and then
	longest     = 50 * time.Millisecond // that a target is measured in a round, if that makes enough of them
	warmUp      = 300                   // calls, before it is known how fast a target is
	minRounds   = 5
	moreOften   = 4 // samples in a round of what [Sender] compares: it is a difference of differences
)

// target is what calls are sent to.
type target struct {
	handler     string  // of [Base]; empty: a stage
	stage       string  // slug
	base        *target // that the stage is compared with
	path        string
	transport   catalog.Transport
	gateway     bool        // it is called through the gateway
	beside      []operation // that are carried out with each call
	prepare     preparing
	used        func(context.Context) (time.Duration, error) // processor time of the server, so far
	connections []*connection

	latest  sampled // how fast it was
	samples []sampled
	server  []float64 // processor time of the server that a call took, in each sample and more; microseconds
	ratios  []float64
	added   []float64 // that a call alone takes longer than at the base; microseconds
	more    []float64 // processor time of the server that a call takes more than at the base; microseconds
}

// sampled is what a sample shows.
type sampled struct {
	rate   float64 // calls a second over all connections at once
	callUS float64 // that a call took over one of them, alone
}

// Measure starts the server, measures, and stops it.
func Measure(ctx context.Context, o Options) (result Result, err error) {
	server, at, err := start(o.Server)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	who, err := readIdentity(o.Dir)
	if err != nil {
		return Result{}, err
	}
	if err := ready(ctx, o.Dir, who.id); err != nil {
		return Result{}, err
	}
	targets, err := o.targets(ctx, who, at)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		for _, t := range targets {
			t.close()
		}
	}()
	for _, t := range targets {
		if err := t.open(ctx, who, at); err != nil {
			return Result{}, err
		}
	}
	defer giveWay()()
	rounds := max(minRounds, int(o.Duration/longest))
	length := o.Duration / time.Duration(rounds)
	all := comparisons(o.Stages.Built(), targets)
	compared := targetsOf(all)
	o.Progress(0, rounds)
	for round := range rounds {
		for _, t := range targets {
			if t.handler == Unguarded || slices.Contains(t.beside, nothing) { // with what is compared with them
				continue
			}
			if err := t.measure(ctx, length); err != nil {
				return Result{}, err
			}
		}
		for range moreOften - 1 {
			for _, t := range compared {
				if err := t.load(ctx, length); err != nil {
					return Result{}, err
				}
			}
		}
		o.Progress(round+1, rounds)
	}
	result = resultOf(targets)
	result.Operations = operationsOf(targets)
	if result.Senders = senders(all); len(result.Senders) > 0 {
		proofs, err := fullOfProofs()
		if err != nil {
			return Result{}, err
		}
		result.Proofs = &proofs
	}
	if result.Attestations, err = o.attestations(ctx, who, at); err != nil {
		return Result{}, err
	}
	if result.Mediators, err = o.mediators(ctx, who, at); err != nil {
		return Result{}, err
	}
	result.Gateways, err = o.gateways(ctx, who, at)
	return result, err
}

// targets are what is measured, each after the one that it is compared with.
func (o *Options) targets(ctx context.Context, who identity, at addresses) ([]*target, error) {
	var callers []*caller
	for _, stage := range o.Stages.Built() {
		c, err := newCaller(stage, who, at)
		if err != nil {
			return nil, err
		}
		if err := c.settle(ctx); err != nil {
			return nil, err
		}
		callers = append(callers, c)
	}
	targets := bareTargets(at)
	for _, path := range o.Paths {
		if path == Rates {
			targets = append(targets, &target{handler: NetHTTP, path: path, transport: catalog.PlainHTTP, prepare: simple(at.Bare, path)})
		}
		bases := map[catalog.Transport]*target{}
		for _, c := range callers {
			transport := c.stage.Call.Transport
			if bases[transport] == nil {
				bases[transport] = &target{handler: Unguarded, path: path, transport: transport, prepare: simple(at.Free, path)}
				targets = append(targets, bases[transport])
			}
			made := target{
				stage: c.stage.Slug, base: bases[transport], path: path, transport: transport, gateway: c.stage.Call.Gateway == catalog.ThroughGateway,
				prepare: func(ctx context.Context, count int) ([][]byte, error) { return c.prepared(ctx, path, count) },
			}
			targets = append(targets, &made)
			for _, later := range callers {
				if before := without(o.Stages.Built(), later.stage); before != nil && before.Slug == c.stage.Slug {
					with := made
					with.base, with.beside = nil, needed(later.stage.Call.Sender)
					with.prepare = made.prepare.with(with.beside...)
					targets = append(targets, &with)
				}
			}
		}
	}
	return targets, nil
}

// simple are calls without anything that a guard would look at.
func simple(host, path string) preparing {
	call := fmt.Appendf(nil, "GET /unguarded%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: HarbourBank/1.0\r\n\r\n", path, host)
	return func(_ context.Context, count int) ([][]byte, error) {
		calls := make([][]byte, count)
		for i := range calls {
			calls[i] = bytes.Clone(call) // each in memory of its own, as the calls of stages are
		}
		return calls, nil
	}
}

// open opens the connections and finds out how fast the target is, roughly.
func (t *target) open(ctx context.Context, who identity, at addresses) error {
	t.used = at.used
	address := at.TLS
	switch plain := t.transport == catalog.PlainHTTP; {
	case t.handler == NetHTTP:
		address = at.Bare
	case t.handler == Unguarded && plain:
		address = at.Free
	case t.handler == Unguarded:
		address = at.Freed
	case t.gateway:
		address = at.Mediator
	case plain:
		address = at.Plain
	}
	for range connections {
		c, err := who.dial(ctx, address, t.transport)
		if err != nil {
			return err
		}
		t.connections = append(t.connections, c)
	}
	const length = longest
	t.latest = sampled{rate: warmUp / length.Seconds(), callUS: length.Seconds() * 1e6 / warmUp}
	for range 2 { // the first is slower
		if err := t.sample(ctx, length); err != nil {
			return err
		}
	}
	t.server = nil
	return nil
}

func (t *target) close() {
	for _, c := range t.connections {
		c.Close()
	}
}

// sample sends calls over all connections at once, for about that long, and then some over
// one of them.
func (t *target) sample(ctx context.Context, length time.Duration) error {
	if err := t.load(ctx, length); err != nil {
		return err
	}
	one, err := t.prepare(ctx, int(length.Seconds()/4*1e6/t.latest.callUS)+1)
	if err != nil {
		return err
	}
	runtime.GC() // what making the calls has left behind, which would take time of theirs
	if t.latest.callUS, err = sendOne(t.connections[0], one); err != nil {
		return fmt.Errorf("measure %s at %s: %w", t.path, cmp.Or(t.stage, t.handler), err)
	}
	return ctx.Err()
}

// load sends calls over all connections at once, for about that long.
func (t *target) load(ctx context.Context, length time.Duration) error {
	many, err := t.prepare(ctx, int(t.latest.rate*length.Seconds())+connections)
	if err != nil {
		return err
	}
	runtime.GC()
	before, err := t.used(ctx)
	if err != nil {
		return err
	}
	took, err := send(t.connections, many)
	if err != nil {
		return fmt.Errorf("measure %s at %s: %w", t.path, cmp.Or(t.stage, t.handler), err)
	}
	after, err := t.used(ctx)
	if err != nil {
		return err
	}
	calls := float64(len(many))
	t.latest.rate = calls / took.Seconds()
	t.server = append(t.server, float64((after-before).Nanoseconds())/1000/calls)
	return ctx.Err()
}

// measure takes a sample and, where there is something to compare with, one of that right
// before.
func (t *target) measure(ctx context.Context, length time.Duration) error {
	if t.base != nil {
		if err := t.base.measure(ctx, length); err != nil {
			return err
		}
	}
	if err := t.sample(ctx, length); err != nil {
		return err
	}
	t.samples = append(t.samples, t.latest)
	if t.base != nil {
		t.ratios = append(t.ratios, t.latest.rate/t.base.latest.rate)
		t.added = append(t.added, t.latest.callUS-t.base.latest.callUS)
		t.more = append(t.more, t.server[len(t.server)-1]-t.base.server[len(t.base.server)-1])
	}
	return nil
}

func resultOf(targets []*target) Result {
	r := Result{Calls: []Call{}, Bases: []Base{}, Machine: thisMachine()}
	for _, t := range targets {
		if len(t.beside) > 0 {
			continue
		}
		var rates, took []float64
		for _, s := range t.samples {
			rates, took = append(rates, s.rate), append(took, s.callUS)
		}
		if t.base == nil {
			r.Bases = append(r.Bases, Base{
				Handler: t.handler, Path: t.path, Transport: t.transport,
				PerSecond: rounded(median(rates), 1), CallUS: rounded(median(took), 10),
			})
			continue
		}
		r.Calls = append(r.Calls, Call{
			Stage: t.stage, Path: t.path, Transport: t.transport,
			PerSecond: rounded(median(rates), 1), Ratio: rounded(median(t.ratios), 1000), AddedUS: rounded(median(t.added), 10),
		})
	}
	return r
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// rounded leaves out digits that nobody can measure.
func rounded(value, parts float64) float64 { return math.Round(value*parts) / parts }
