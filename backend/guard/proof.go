package guard

import (
	"crypto"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/mechanism/replay"
	"keyladder/stages/mechanism/servernonce"
)

// ProofSkew is how far the clock of a sender may be wrong: a proof is good for so long before and
// after the time that it was made for.
const ProofSkew = time.Minute

// Proofs is what it takes to check that senders have the keys that their tokens are bound to.
type Proofs struct {
	// Nonces are given out to senders, for their proofs. All servers that take the same tokens have the
	// same.
	Nonces *servernonce.Source
	// Memory is of the proofs that were here, by the thumbprint of their key. Its skew is at least
	// [ProofSkew]. It is of this server alone: see [ProofMemory].
	Memory *replay.Cache
	// Responses is a key of P-256 with which answers are signed where calls are. Nil: there is none.
	Responses crypto.Signer
}

// ProofMemory makes a memory of proofs for some thousand calls a second, of which the mark is kept
// ahead: see [replay.Mark].
//
// It is in this process. Servers that share their nonces take the same proofs and do not share what they
// remember, so that each of them serves a proof once: a call that was captured at one is good at every
// other one, until its time is over. Servers that are to serve it once between them need a memory in
// common, with the properties that package replay lists.
func ProofMemory(mark *replay.Mark, now time.Time) *replay.Cache {
	return replay.New(replay.Config{Skew: ProofSkew, Limit: replay.Limit(nonceRate, ProofSkew), Start: mark.Begins(now), Mark: mark})
}

// usable refuses what would let a proof be good more than once: nothing is served without a memory.
func (p *Proofs) usable(stage catalog.Stage) error {
	switch {
	case p == nil || p.Memory == nil || p.Memory.Skew() < ProofSkew:
		return fmt.Errorf("stage %s: call.sender: there is no memory for proofs, or one that forgets them while they are good", stage.Slug)
	case p.Nonces.At(time.Now()) == "":
		return fmt.Errorf("stage %s: call.sender: there are no nonces for proofs", stage.Slug)
	case stage.Call.Sender == catalog.SignedMessages:
		if _, err := jwk.OfSigner(p.Responses); err != nil {
			return fmt.Errorf("stage %s: call.sender: there is no key to sign answers with: %w", stage.Slug, err)
		}
	}
	return nil
}

// needsProofs says whether some calls of a stage have to be proven here.
func needsProofs(stage catalog.Stage, c Config) bool {
	switch {
	case stage.Call.Sender == catalog.AnySender:
		return false
	case c.Gateway:
		return true
	}
	return !c.AdmissionAlone && !isForwarded(stage.Policies)
}

// sender is who has proven to have a key, with this very call.
type sender struct {
	key        jwk.Key
	thumbprint string
	proofs     []proof

	room [1]proof // for what most calls need, so that it is one object with the sender
}

// proof is what a sender has shown for it, which must not come again.
type proof struct {
	kind string
	id   string    // what no other of the kind has, of the same key: jti or nonce
	at   time.Time // for which it was made, in whole seconds
}

// Kinds of proofs.
const (
	dpopKind = "dpop"
	popKind  = "pop" // of a client attestation

	signatureKind = "signature" // of a message
)

// proven notes what the sender of a call has proven. A sender with another key than the one before is
// nobody: see who calls it.
func (c *call) proven(key jwk.Key, p proof) {
	if c.sender == nil || c.sender.key != key {
		c.sender = &sender{key: key, thumbprint: key.Thumbprint()}
		c.sender.proofs = c.sender.room[:0]
	}
	c.sender.proofs = append(c.sender.proofs, p)
}

// proofIsNew refuses a proof that was here before, and remembers it until nothing would accept it any
// more: until its time is further away than clocks may be apart, be the sender's clock fast or slow.
// It comes after the limit of the app, as keepNonce does, and for the same reason.
//
//keyladder:code guard-proof-new
func proofIsNew(p *Proofs) func(*call) *Refusal {
	return func(c *call) *Refusal {
		if c.sender == nil || len(c.sender.proofs) == 0 || p == nil || p.Memory == nil {
			return refuse(closed(), "there is no proof, or nothing that would remember it")
		}
		for _, shown := range c.sender.proofs {
			err := p.Memory.Add(c.at, c.sender.thumbprint, shown.at.Unix(), shown.kind+" "+shown.id)
			switch {
			case err == nil:
			case errors.Is(err, replay.ErrFull), errors.Is(err, replay.ErrUnmarked):
				return refuse(problem.New(http.StatusServiceUnavailable, "try-later", "Too many calls at the moment", "Try again a bit later.").
					With("Retry-After", "5"), "%v", err)
			case shown.kind == popKind:
				return refuse(attestationRefused("Make a proof for each request: this one was here before, or was made before this server began."), "%v", err)
			case shown.kind == signatureKind:
				return refuse(c.signatureRefused(err), "%v", err)
			default:
				return refuse(c.proofRefused(p, "Make a proof for each call: this one was here before, or was made before this server began."), "%v", err)
			}
		}
		return nil
	}
}

// origin is what the addresses begin with by which apps call this server.
func (c Config) origin() string {
	if c.Port == 0 || c.Port == 443 {
		return "https://" + c.Host
	}
	return "https://" + net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
}

// url is the address that the call was sent to, without a query, as its sender knows it: the Host field
// says what the sender wants it to say.
func (c *call) url(origin string) string { return origin + c.request.URL.EscapedPath() }
