package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/replay"
)

// Operations are what bare operations take, in microseconds of processor time in a server at capacity: what
// is added for signatures is to be compared with them. A call that is made alone would not do for that. The
// longer it takes, the more of the processors go to sleep meanwhile, and waking them up takes as long as a
// signature.
type Operations struct {
	VerifyUS float64 `json:"verify_us"` // a verification of ECDSA on P-256
	SignUS   float64 `json:"sign_us"`   // a signature of ECDSA on P-256
	HS256US  float64 `json:"hs256_us"`  // a MAC of HS256 over what a token has
}

// Sender is what the proof of the sender adds to a call.
type Sender struct {
	Stage        string  `json:"stage"`
	Path         string  `json:"path"`
	Against      string  `json:"against"`       // the latest stage before without such a proof
	AddedUS      float64 `json:"added_us"`      // processor time that a call takes more than there
	OperationsUS float64 `json:"operations_us"` // that the operations of ECDSA take which are needed for it
	Factor       float64 `json:"factor"`        // of the two
}

// Proofs is what the memory of proofs takes when it is full.
type Proofs struct {
	Number   int     `json:"number"` // that it remembers at most
	BytesPer float64 `json:"bytes_per"`
	MB       float64 `json:"mb"` // 10^6 bytes
}

// The handlers that carry out a bare operation and then answer as [NetHTTP] does. What they take longer than
// one that only answers is what the operation takes in a server, between two waits for the network: in a
// loop of its own, all that it needs would be in the processor's cache.
const (
	answering = "answering"
	verifying = "verifying"
	signing   = "signing"
	macing    = "macing"
)

// tokenBytes is about how much of a token its MAC is over.
const tokenBytes = 512

// operationsHandler are those handlers, each at its name.
func operationsHandler() (http.Handler, error) {
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
	mux := http.NewServeMux()
	for name, operation := range map[string]func() bool{
		answering: func() bool { return true },
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
	} {
		mux.HandleFunc("/unguarded/"+name, func(w http.ResponseWriter, r *http.Request) {
			if !operation() {
				http.Error(w, "the operation fails", http.StatusInternalServerError)
				return
			}
			fixed(w, r)
		})
	}
	mux.HandleFunc("/", fixed)
	return mux, nil
}

// bareTargets are those handlers, each compared with the one that only answers.
func bareTargets(at addresses) []*target {
	only := &target{handler: answering, transport: catalog.PlainHTTP, prepare: simple(at.Bare, "/"+answering)}
	targets := []*target{only}
	for _, name := range []string{verifying, signing, macing} {
		targets = append(targets, &target{handler: name, base: only, transport: catalog.PlainHTTP, prepare: simple(at.Bare, "/"+name)})
	}
	return targets
}

// operationsOf reads what was measured of them.
func operationsOf(targets []*target) Operations {
	took := func(name string) float64 {
		at := slices.IndexFunc(targets, func(t *target) bool { return t.handler == name })
		if at < 0 {
			return 0
		}
		return rounded(median(targets[at].costs), 10)
	}
	return Operations{VerifyUS: took(verifying), SignUS: took(signing), HS256US: took(macing)}
}

// needed is what the operations of ECDSA take that a server needs for a proof of the sender.
func (o Operations) needed(proof catalog.Sender) float64 {
	switch proof {
	case catalog.DPoPProofs:
		return o.VerifyUS
	case catalog.SignedMessages: // of the call, and of its answer
		return o.VerifyUS + o.SignUS
	}
	return 0
}

// senders compares each stage that has a proof of the sender with the one before that has none, where both
// were measured. They are compared round by round.
func senders(stages catalog.Set, targets []*target, bare Operations) []Sender {
	var found []Sender
	for _, stage := range stages {
		if bare.needed(stage.Call.Sender) == 0 {
			continue
		}
		var before *catalog.Stage
		for i, other := range stages {
			if other.Number < stage.Number && other.Call.Sender == catalog.AnySender && (before == nil || other.Number > before.Number) {
				before = &stages[i]
			}
		}
		if before == nil {
			continue
		}
		for _, with := range targets {
			at := slices.IndexFunc(targets, func(t *target) bool { return t.stage == before.Slug && t.path == with.path })
			if with.stage != stage.Slug || at < 0 {
				continue
			}
			var added []float64
			for round := range min(len(with.costs), len(targets[at].costs)) {
				added = append(added, with.costs[round]-targets[at].costs[round])
			}
			s := Sender{Stage: stage.Slug, Path: with.path, Against: before.Slug, AddedUS: rounded(median(added), 10), OperationsUS: bare.needed(stage.Call.Sender)}
			s.Factor = rounded(s.AddedUS/s.OperationsUS, 100)
			found = append(found, s)
		}
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
