package bench

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/replay"
)

// Operations are what bare operations take, in microseconds of the processor time of a server at capacity
// that does nothing else but answer. How long a call takes that is made alone would not do for that. The
// longer it is, the more of the processors go to sleep meanwhile, and waking them up takes as long as a
// signature.
type Operations struct {
	VerifyUS float64 `json:"verify_us"` // a verification of ECDSA on P-256
	SignUS   float64 `json:"sign_us"`   // a signature of ECDSA on P-256
	HS256US  float64 `json:"hs256_us"`  // a MAC of HS256 over what a token has
}

// Sender is what the proof of the sender adds to a call, and what the bare operations of ECDSA that it takes
// add to the same call: they are carried out before it, by the same server. The other work of a server
// takes longer when it does something else in between, and it does so in both.
type Sender struct {
	Stage        string  `json:"stage"`
	Path         string  `json:"path"`
	Against      string  `json:"against"`       // the latest stage before without such a proof
	AddedUS      float64 `json:"added_us"`      // processor time of the server that a call takes more than there
	OperationsUS float64 `json:"operations_us"` // that one there takes more with the bare operations
	Factor       float64 `json:"factor"`        // of the two
}

// Proofs is what the memory of proofs takes when it is full.
type Proofs struct {
	Number   int     `json:"number"` // that it remembers at most
	BytesPer float64 `json:"bytes_per"`
	MB       float64 `json:"mb"` // 10^6 bytes
}

// operation is a bare one, with which nothing else is done.
type operation string

const (
	nothing   operation = "nothing"
	verifying operation = "verifying"
	signing   operation = "signing"
	macing    operation = "macing"
)

// tokenBytes is about how much of a token its MAC is over.
const tokenBytes = 512

// bare carries out operations, and says whether they have succeeded.
type bare map[operation]func() bool

func newBare() (bare, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(nil)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	secret, text := make([]byte, sha256.Size), make([]byte, tokenBytes)
	return bare{
		nothing:   func() bool { return true },
		verifying: func() bool { return ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) },
		signing: func() bool {
			_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
			return err == nil
		},
		macing: func() bool {
			mac := hmac.New(sha256.New, secret)
			mac.Write(text)
			return len(mac.Sum(nil)) == sha256.Size
		},
	}, nil
}

// operationField asks a server that is measured for a bare operation. There may be some.
const operationField = "Bare-Operation"

// around has a handler carry out the operations that a request asks for before it does anything else: in a
// loop of their own, all that they need would be in the processor's cache.
func (b bare) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range r.Header.Values(operationField) {
			if do := b[operation(name)]; do == nil || !do() {
				http.Error(w, "the operation fails: "+name, http.StatusInternalServerError)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// processorPath is where the server says how much processor time it has used, in nanoseconds.
const processorPath = "/processor"

// bareHandler answers with a fixed text, or says what the process has used.
func (b bare) bareHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", b.around(http.HandlerFunc(fixed)))
	mux.HandleFunc("GET "+processorPath, func(w http.ResponseWriter, _ *http.Request) {
		used, err := processorTime()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, used.Nanoseconds())
	})
	return mux
}

// used asks the server how much processor time it has used.
func (at addresses) used(ctx context.Context) (time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.Bare+processorPath, nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 100))
	if err != nil {
		return 0, err
	}
	used, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the server says of its processor time: %s", text)
	}
	return time.Duration(used), nil
}

// preparing makes calls as they go over the connection.
type preparing func(ctx context.Context, count int) ([][]byte, error)

// with has calls ask for operations.
func (p preparing) with(operations ...operation) preparing {
	var fields []byte
	for _, name := range operations {
		fields = fmt.Appendf(fields, "\r\n%s: %s", operationField, name)
	}
	return func(ctx context.Context, count int) ([][]byte, error) {
		calls, err := p(ctx, count)
		for i, call := range calls {
			end := bytes.Index(call, endOfHead)
			calls[i] = slices.Concat(call[:end], fields, call[end:])
		}
		return calls, err
	}
}

// bareTargets are the operations in a server that only answers, each compared with nothing at all.
func bareTargets(at addresses) []*target {
	calls := simple(at.Bare, "/")
	only := &target{handler: NetHTTP, beside: []operation{nothing}, transport: catalog.PlainHTTP, prepare: calls.with(nothing)}
	targets := []*target{only}
	for _, name := range []operation{verifying, signing, macing} {
		targets = append(targets, &target{handler: NetHTTP, beside: []operation{name}, base: only, transport: catalog.PlainHTTP, prepare: calls.with(name)})
	}
	return targets
}

// operationsOf reads what was measured of them.
func operationsOf(targets []*target) Operations {
	took := func(name operation) float64 {
		at := slices.IndexFunc(targets, func(t *target) bool { return t.handler == NetHTTP && slices.Equal(t.beside, []operation{name}) })
		if at < 0 {
			return 0
		}
		return rounded(median(targets[at].more), 10)
	}
	return Operations{VerifyUS: took(verifying), SignUS: took(signing), HS256US: took(macing)}
}

// moreThan is the processor time of the server that a call takes more than one of another target, in
// microseconds. They are compared sample by sample.
func (t *target) moreThan(than *target) float64 {
	var added []float64
	for i := range min(len(t.server), len(than.server)) {
		added = append(added, t.server[i]-than.server[i])
	}
	return median(added)
}

// needed are the operations of ECDSA that a server needs for a proof of the sender.
func needed(proof catalog.Sender) []operation {
	switch proof {
	case catalog.DPoPProofs:
		return []operation{verifying}
	case catalog.SignedMessages: // of the call, and of its answer
		return []operation{verifying, signing}
	}
	return nil
}

// without is the latest stage before one with a proof of the sender that has none, and else has calls go
// the same way; nil: it is not among these, or the stage has none itself.
func without(stages catalog.Set, stage catalog.Stage) (before *catalog.Stage) {
	if len(needed(stage.Call.Sender)) == 0 {
		return nil
	}
	for i, other := range stages {
		if other.Number < stage.Number && other.Call.Sender == catalog.AnySender && other.Call.Gateway == stage.Call.Gateway &&
			(before == nil || other.Number > before.Number) {
			before = &stages[i]
		}
	}
	return before
}

// comparison is what a [Sender] is measured by.
type comparison struct {
	stage, before       catalog.Stage
	path                string
	with, bare, against *target // with the proof, with the bare operations, and with neither
}

// comparisons compares each stage that has a proof of the sender with the one before that has none, where
// both are measured.
func comparisons(stages catalog.Set, targets []*target) []comparison {
	find := func(stage, path string, beside []operation) *target {
		at := slices.IndexFunc(targets, func(t *target) bool { return t.stage == stage && t.path == path && slices.Equal(t.beside, beside) })
		if at < 0 {
			return nil
		}
		return targets[at]
	}
	var found []comparison
	for _, stage := range stages {
		before := without(stages, stage)
		if before == nil {
			continue
		}
		for _, path := range Paths() {
			with, bare, against := find(stage.Slug, path, nil), find(before.Slug, path, needed(stage.Call.Sender)), find(before.Slug, path, nil)
			if with == nil || bare == nil || against == nil {
				continue
			}
			found = append(found, comparison{stage, *before, path, with, bare, against})
		}
	}
	return found
}

// targetsOf are those of all comparisons, each once.
func targetsOf(all []comparison) (targets []*target) {
	for _, c := range all {
		for _, t := range []*target{c.against, c.bare, c.with} {
			if !slices.Contains(targets, t) {
				targets = append(targets, t)
			}
		}
	}
	return targets
}

// senders is what was measured for comparisons.
func senders(all []comparison) (found []Sender) {
	for _, c := range all {
		s := Sender{
			Stage: c.stage.Slug, Path: c.path, Against: c.before.Slug,
			AddedUS: rounded(c.with.moreThan(c.against), 10), OperationsUS: rounded(c.bare.moreThan(c.against), 10),
		}
		s.Factor = rounded(s.AddedUS/s.OperationsUS, 100)
		found = append(found, s)
	}
	return found
}

// fullOfProofs fills a memory of proofs as the guard has one, and says what that takes.
func fullOfProofs() (Proofs, error) {
	before := heap()
	now := time.Now().Truncate(time.Second)
	memory := guard.ProofMemory(nil, now)
	window := int64(guard.ProofSkew / time.Second)
	number := 0
	for {
		at := now.Unix() - window + int64(number)%(2*window+1) // all of the window alike
		err := memory.Add(now, "a thumbprint has as many characters as this", at, strconv.Itoa(number))
		if errors.Is(err, replay.ErrFull) {
			break
		}
		if err != nil {
			return Proofs{}, fmt.Errorf("fill the memory of proofs: %w", err)
		}
		number++
	}
	took := float64(heap() - before)
	runtime.KeepAlive(memory)
	return Proofs{Number: number, BytesPer: rounded(took/float64(number), 10), MB: rounded(took/1e6, 10)}, nil
}

// heap is what is in use of it, in bytes.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
