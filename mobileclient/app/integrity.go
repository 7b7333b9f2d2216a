package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/mechanism/clientattestation"
	"keyladder/stages/protect"
)

// proof is how the app gets client integrity tokens, and the one that it has.
type proof struct {
	attester    *protect.Attester
	measured    protect.Measured // its own package, once per start
	otherSigner bool

	asking sync.Mutex // held while the attestation service is asked

	mu            sync.Mutex
	held          protect.Attested // without a token: none
	served        bool             // a call with it was
	used          bool             // a call was made with it
	interceptions int              // connections that were refused because of the server's key
	reported      int              // of these, before the last attestation
}

// newProof gets ready to be attested; nil: nobody asks for that at the stage. The app reads its
// package here, and then never whole again.
//
//keyladder:code app-measure
func newProof(a *harbourApp, caller *protect.Caller) (*proof, error) {
	device, err := a.system.Identifier()
	if err != nil {
		return nil, err
	}
	attester, err := caller.Attester(a.manifest.Release, device)
	if errors.Is(err, protect.ErrNotAttested) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	self, err := sdk.Package()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(self) // for as long as the app runs
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	signer, sum, err := release.Measure(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSettings, err)
	}
	attester.Size = info.Size()
	return &proof{
		attester:    attester,
		measured:    protect.Measured{Package: file, Size: info.Size(), Measurement: attestation.Measurement(sum)},
		otherSigner: !signer.Equal(a.settings.Developer),
	}, nil
}

// findings are what the app finds out about its surroundings now.
//
//keyladder:code app-findings
func (a *harbourApp) findings() (found attestation.Findings, interceptions int, err error) {
	settings, err := a.system.Settings()
	if err != nil {
		return found, 0, err
	}
	p := a.proof
	p.mu.Lock()
	defer p.mu.Unlock()
	return attestation.Findings{
		Traced: traced(), Injected: injected(), Unlocked: settings.Unlocked,
		OtherSigner: p.otherSigner, Intercepted: p.interceptions > p.reported,
	}, p.interceptions, nil
}

// evidence is what the attestation service asks for: what the app measures, or what its device says.
func (a *harbourApp) evidence(found attestation.Findings) protect.Evidence {
	return func(c attestation.Challenge) (attestation.Evidence, error) {
		if c.ForDevice() {
			return protect.DeviceEvidence(a.system.Evidence, found)(c)
		}
		return a.proof.measured.Evidence(found)(c)
	}
}

// intercepted notes that a server was not one that the app knows by its key.
func (p *proof) intercepted() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.interceptions++
}

// current is the token that the app has.
func (p *proof) current() protect.Attested {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// fits says whether a token can be used: it has not expired, and what was reported for it is so
// still. Where nothing was reported, nothing can have changed.
func fits(held protect.Attested, found attestation.Findings) bool {
	return held.Token != "" && time.Until(held.ExpiresAt) > slack && (held.Reported == nil || *held.Reported == found)
}

// slack is how long before its end a token is no longer used. It says in whole seconds when it ends, which
// is up to one earlier than the service has said.
const slack = time.Second

// integrity is what the attestation service has given, for a call that is made now. A call waits where there is
// none: before the first one, when it has expired, and when the app finds something about its
// surroundings that it has not reported yet. It is renewed ahead of its end otherwise, and no call
// waits for that.
//
//keyladder:code app-integrity
func (a *harbourApp) integrity(ctx context.Context) (protect.Attested, error) {
	found, _, err := a.findings()
	if err != nil {
		return protect.Attested{}, err
	}
	p := a.proof
	held := p.current()
	if !fits(held, found) {
		if held, err = a.attest(ctx, held); err != nil {
			return protect.Attested{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held.Token == held.Token && !p.used {
		p.used = true
		go a.renewAhead(held)
	}
	return held, nil
}

// attest gets another token in place of one, unless somebody else has done it meanwhile: there are
// never two attestations at once.
func (a *harbourApp) attest(ctx context.Context, before protect.Attested) (protect.Attested, error) {
	p := a.proof
	p.asking.Lock()
	defer p.asking.Unlock()
	found, interceptions, err := a.findings()
	if err != nil {
		return before, err
	}
	if now := p.current(); now.Token != before.Token && fits(now, found) {
		return now, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	got, err := p.attester.Attest(ctx, a.tokenClient(), a.evidence(found))
	if err != nil {
		return before, &attestationError{err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.served, p.used, p.reported = got, false, false, interceptions
	return got, nil
}

// again is how long the app waits before it asks again for a token that it could not renew.
const again = time.Second

// renewAhead gets another token before one ends, while calls go on with it. It begins with a
// token's first call: an app that nobody uses is not attested.
func (a *harbourApp) renewAhead(held protect.Attested) {
	time.Sleep(time.Until(held.RenewAt))
	for time.Now().Before(held.ExpiresAt) && a.proof.current().Token == held.Token {
		if _, err := a.attest(context.Background(), held); err == nil {
			return
		}
		time.Sleep(again)
	}
}

// drop forgets a token that the bank has refused, so that the next call is made with another. It
// returns by which reference an admin finds out why, and whether it was accepted before: then it
// may have been the bank that has changed.
func (p *proof) drop(token string) (reference string, served bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held.Token != token {
		return "", true // there is another one by now
	}
	reference, served = p.held.Reference, p.served
	p.held = protect.Attested{}
	return reference, served
}

// accepted notes that a call with a token was served.
func (p *proof) accepted(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served = p.served || p.held.Token == token
}

// unproven says whether the answer is that the bank does not take this app for the genuine one.
func (o outcome) unproven() bool { return o.dressed != nil && o.answer.IntegrityRefused() }

// proven makes a call with a client integrity token. One that was good before, and is not any more,
// is exchanged for another: the call was refused, and so not done.
//
// Where answers are signed, that one can't be, as the bank knows the app's key from the token that it
// refuses. So somebody on the way may have made it up, and passed the call on. Then a call is made once
// more if that does no more than making it once.
//
//keyladder:code app-proven
func (a *harbourApp) proven(ctx context.Context, c call) outcome {
	for {
		held, err := a.integrity(ctx)
		if err != nil {
			return outcome{screen: a.notAttested(err)}
		}
		c.attested = held
		o := a.makeProven(ctx, c)
		if !o.unproven() {
			if o.screen.OK {
				a.proof.accepted(held.Token)
			}
			return o
		}
		reference, served := a.proof.drop(held.Token)
		if !served {
			o.screen.Error = refusedApp(reference)
			return o
		}
		if !o.answer.Authentic && o.dressed.Verifies() && !c.repeatable() {
			return o
		}
	}
}

// refusedApp is what to show where the bank does not take this app for the genuine one. Why is not
// for the app to know.
func refusedApp(reference string) string {
	return "The bank does not accept this app as it runs on this phone. Turn off what watches or changes it, or ask the bank: the reference is " + reference + "."
}

// unprovenError says that whoever issues access tokens does not take this app for the genuine one.
type unprovenError struct{ reference string }

func (e *unprovenError) Error() string { return "the client integrity token is not accepted" }

// attested asks for access tokens, or for a page on which somebody signs in: with a client integrity
// token where a mediator looks at one in place of a secret, and again with another where that was good
// before. The mediator tells whether it was before it looks at anything else. The provider is the one that the user has chosen; empty: the bank's.
//
//keyladder:code app-mediated
func attested[T any](ctx context.Context, a *harbourApp, provider string, ask func(*protect.OAuth) (T, error)) (nothing T, err error) {
	if !a.caller.Policy().ClientAuth.Attested() {
		return ask(a.oauth)
	}
	for {
		held, err := a.integrity(ctx)
		if err != nil {
			return nothing, err
		}
		caller, err := a.caller.As(func(who *protect.Identity) {
			held.Show(who)
			who.Provider = provider
		})
		if err != nil {
			return nothing, err
		}
		oauth, err := newOAuth(caller, a.manifest)
		if err != nil {
			return nothing, err
		}
		given, err := ask(oauth)
		var refused *protect.GrantError
		switch {
		case err == nil:
			a.proof.accepted(held.Token)
			return given, nil
		case !errors.As(err, &refused) || refused.Code != "invalid_client" && refused.Code != clientattestation.Invalid:
			return given, err
		}
		if reference, served := a.proof.drop(held.Token); !served {
			return given, &unprovenError{reference}
		}
	}
}

// attestationError says that it was the attestation service that failed.
type attestationError struct{ err error }

func (e *attestationError) Error() string { return e.err.Error() }
func (e *attestationError) Unwrap() error { return e.err }

// notAttested is what to show where there is no token.
func (a *harbourApp) notAttested(err error) sdk.Screen {
	if check, _ := protect.Refused(err); check != "" {
		return a.failedCall("", err)
	}
	screen := a.failedCall("", err)
	var service *protect.ServiceError
	switch {
	case errors.As(err, &service), errors.Is(err, protect.ErrService):
		screen.Error = "The bank can't be asked: " + err.Error()
	case errors.As(err, new(*attestationError)):
		screen.Error = "The bank serves only apps that its attestation service vouches for, and that service can't be reached (" + err.Error() + "). Check the phone's network settings, and that the service runs. Then try again."
	}
	return screen
}
