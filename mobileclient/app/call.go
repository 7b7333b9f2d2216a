package main

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"

	"keyladder/internal/traffic"
	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

const (
	callTime   = 20 * time.Second           // for one attempt
	patience   = 10 * time.Second           // for a server that asks to wait
	maxAnswer  = 4 << 20                    // bytes
	errorMedia = "application/problem+json" // RFC 9457
)

// call is a call of the API.
type call struct {
	protect.Call
	user    protect.SignedIn // stands for the user; empty: nobody does
	settled bool             // twice does no more than once, though it is a POST

	attested protect.Attested // what the attestation service has given for it; without a token: nothing
}

// repeatable says whether making the call twice does no more than making it once (RFC
// 9110, section 9.2.2). A payment is not.
func (c call) repeatable() bool { return c.Method != http.MethodPost || c.settled }

// outcome is what came of a call.
type outcome struct {
	screen  sdk.Screen
	dressed *protect.Dressed // the request; nil: none could be made
	answer  protect.Answer
	wait    time.Duration // that the server asked for; 0: it didn't
	sent    bool          // the request, or a part of it
}

// problem says whether the bank, and nobody else, answered with a problem of that kind.
func (o outcome) problem(status int, kind string) bool {
	return o.answer.Status == status && o.answer.Authentic && problemKind(o.answer) == kind
}

// gone says whether the bank says that what stood for the user has ended. Of a session only
// an authentic answer says so. Where answers are not signed, whoever could make this one up
// could keep the app from its bank anyway.
func (o outcome) gone() bool {
	return o.problem(http.StatusUnauthorized, "session-not-accepted") || o.problem(http.StatusUnauthorized, "token-not-accepted") ||
		o.dressed != nil && !o.dressed.Verifies() && o.answer.TokenRefused()
}

// callAsUser makes a call for the user: from an installation that the server knows, and, but
// for what is public, with what stands for who is signed in.
func (a *harbourApp) callAsUser(ctx context.Context, c call) sdk.Screen {
	if refused := a.register(ctx); refused != nil {
		return *refused
	}
	if a.knowsUsers() && !c.Public {
		who, refused := a.current(ctx)
		if refused != nil {
			return *refused
		}
		c.user = who
	}
	o := a.sendKnown(ctx, c)
	// It was refused, and so not done: another token, and the call again. One that has expired under way,
	// as where the phone slept meanwhile, is renewed once more.
	for again := 0; c.user.Refresh != "" && o.gone() && (again == 0 || again < attempts && hasExpired(c.user)); again++ {
		renewed, refused := a.renew(ctx, c.user)
		if refused != nil {
			return *refused
		}
		c.user = renewed
		o = a.sendKnown(ctx, c)
	}
	return a.noticeSignedOut(c, o).screen
}

// current is what stands for the user in a call that is made now, or what to show where nobody
// is signed in, or not any more.
func (a *harbourApp) current(ctx context.Context) (protect.SignedIn, *sdk.Screen) {
	who, now := a.who(), time.Now()
	switch {
	case who.Empty():
		refused := a.refuse("", catalog.CheckSignedIn, "nobody is signed in", "Sign in first.")
		return who, &refused
	case who.Refresh != "" && !now.Before(who.RenewAt):
		return a.renew(ctx, who)
	case who.Token != "" && !now.Before(who.ExpiresAt): // what the bank would say of it is known
		if err := a.forget(who); err != nil {
			return who, &sdk.Screen{Error: err.Error()}
		}
		refused := a.refuse("", catalog.CheckSignedIn, "the access token has expired", signedOut)
		return who, &refused
	}
	return who, nil
}

// sendKnown makes a call from this installation. A server that does not know it any more,
// because an admin has removed it or the server was set back, is told once more. One that has
// banned it goes on refusing: the identifier is taken.
func (a *harbourApp) sendKnown(ctx context.Context, c call) outcome {
	before := a.device()
	o := a.send(ctx, c)
	if before == nil || !o.problem(http.StatusForbidden, "device-not-accepted") {
		return o
	}
	var refused *sdk.Screen
	a.registering.Lock()
	if a.device() == before { // else another call has done it meanwhile
		refused = a.claim(ctx)
	}
	a.registering.Unlock()
	if refused != nil {
		o.screen.Error = "The bank does not serve this phone any more, and it did not let the app register it anew: " + refused.Error
		return o
	}
	return a.send(ctx, c)
}

// send makes a call, once more where the app's clock was wrong or its nonce too old, and once
// more where the server asks for a little patience.
//
// But nobody pays twice because of an answer that proves nothing. Anyone who sits between
// the app and the bank can pass a payment on and put a refusal in the place of the answer.
// And one that is repeated is the same one, with its nonce: the bank remembers no call that
// goes past a limit, so that whoever kept the first could have it booked beside a second.
//
//keyladder:code app-repeat
func (a *harbourApp) send(ctx context.Context, c call) outcome {
	o := a.make(ctx, c)
	switch {
	case o.answer.ToldTime && c.repeatable(), o.answer.ToldNonce && (c.repeatable() || !o.dressed.Verifies()):
		o = a.make(ctx, c)
	case o.answer.ToldTime:
		// The MAC under the server's time is somebody's with the secret, but it belongs to
		// no request: every copy of the app, its clock set wrong, is sent one.
		o.screen.Error = "The answer says that the request was signed for another time. From now on the app goes by the bank's clock."
	}
	if o.wait > 0 && o.wait <= patience && (c.repeatable() || !o.dressed.Verifies() || o.problem(http.StatusTooManyRequests, "rate-limited")) {
		select {
		case <-time.After(o.wait):
			if c.repeatable() {
				o = a.make(ctx, c)
			} else {
				o = a.attempt(ctx, o.dressed)
			}
		case <-ctx.Done():
		}
	}
	if !c.repeatable() && uncertain(o) {
		o.screen.Error += " It may have been booked all the same: look at the account's transfers before you pay again."
	}
	return o
}

// uncertain says whether the bank may have done what it was asked for, although it does
// not look so. The MAC over an answer does not cover the status, so that what counts is
// what the answer says.
func uncertain(o outcome) bool {
	switch kind := problemKind(o.answer); {
	case o.screen.OK || !o.sent:
		return false
	case kind == "":
		return true // there is no answer, or it says nothing
	case !o.dressed.Verifies():
		return false // as far as anything is certain at this stage
	default:
		// The bank signs answers to requests whose MAC was good. If it does not accept one of
		// those, it has seen it before. And what it had no time for it has not seen, and takes
		// from whoever kept it.
		return !o.answer.Authentic || kind == "client-not-accepted" || kind == "rate-limited" || kind == "try-later"
	}
}

// make makes a call once, with what proves the app.
func (a *harbourApp) make(ctx context.Context, c call) outcome {
	if a.proof != nil && !c.Unproven {
		return a.proven(ctx, c)
	}
	return a.makeProven(ctx, c)
}

// makeProven makes a call for which there is all that it takes.
func (a *harbourApp) makeProven(ctx context.Context, c call) outcome {
	dressed, err := a.dress(c)
	if err != nil {
		return outcome{screen: a.failedCall("", err)}
	}
	return a.attempt(ctx, dressed)
}

// dress makes the request of a call, with all that the stage demands: the body sealed, and
// the installation, the user and the app in it.
func (a *harbourApp) dress(c call) (*protect.Dressed, error) {
	caller, err := a.caller.As(func(who *protect.Identity) {
		c.user.Show(who)
		c.attested.Show(who)
		if device := a.device(); device != nil {
			who.Device = *device
		}
	})
	if err != nil {
		return nil, err
	}
	if c.Header = c.Header.Clone(); c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Set("Accept", strings.Join(append(caller.Accepts(), protect.JSON, errorMedia), ", "))
	return caller.Dress(c.Call)
}

// attempt sends a request and makes a screen of the answer, if it is the bank's.
func (a *harbourApp) attempt(ctx context.Context, dressed *protect.Dressed) (o outcome) {
	o.dressed = dressed
	exchange := rand.Text()
	failed := func(err error) outcome {
		o.screen = a.failedCall(exchange, err)
		return o
	}
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := dressed.HTTP(ctx)
	if err != nil {
		return failed(err)
	}
	resp, received, err := a.exchange(exchange, req, dressed, &o.sent)
	if err != nil {
		return failed(err)
	}
	answer, err := dressed.Check(resp, received)
	if err != nil {
		return failed(err)
	}
	a.recordOpened(exchange, answer)
	o.answer, o.screen = answer, show(answer, resp.Status)
	if answer.Status == http.StatusTooManyRequests {
		o.wait = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	}
	return o
}

// exchange sends a request and receives the answer. The request is dressed already, and the
// record takes the body from it. Sent becomes true where the request, or a part of it, may have gone out.
func (a *harbourApp) exchange(exchange string, req *http.Request, dressed *protect.Dressed, sent *bool) (*http.Response, []byte, error) {
	ctx := sdk.WithExchange(req.Context(), exchange)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			*sent = true
			_ = a.system.Use(info.Conn, exchange) // a note for the class; the call goes on without
		},
	})
	req = req.WithContext(ctx)
	req.Header.Set(traffic.Header, exchange)
	client, err := a.connection.client(a.system, a.caller)
	if err != nil {
		return nil, nil, err
	}
	a.recordRequest(exchange, req, dressed)
	resp, err := client.Do(req)
	if err != nil {
		if a.proof != nil && a.caller.Unpinned(err) {
			a.proof.intercepted()
		}
		a.logCall(req, "no answer")
		return nil, nil, err
	}
	a.logCall(req, resp.Status)
	defer resp.Body.Close()
	received, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, nil, err
	}
	a.recordResponse(exchange, resp, received)
	return resp, received, nil
}

// retryAfter reads the field of the same name (RFC 9110, section 10.2.3): seconds or
// a date. A server that wants to be asked later, but does not say when, gets a second.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil && seconds >= 0 {
		return max(time.Duration(seconds)*time.Second, time.Millisecond)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(at.Sub(now), time.Millisecond)
	}
	return time.Second
}
