package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/protect"
)

// attempts is how often a renewal is asked for at once. Its answer can be lost on the way.
const attempts = 2

// hasExpired says whether what stands for a user can't be good any more, so that its refusal says nothing
// about the session.
func hasExpired(who protect.SignedIn) bool {
	return who.Refresh != "" && !time.Now().Before(who.ExpiresAt)
}

// errReplaced means that what was renewed is not the user's any more.
var errReplaced = errors.New("somebody has signed out or in meanwhile")

// renew gets another access token for what stands for a user, with its refresh token, which is
// good once: the answer brings the next. So there is never more than one renewal, and other
// calls wait for it. It returns what stands for the user then, or what to show.
//
// Where an answer is lost the app does not know whether its refresh token is still good. It asks
// again with the same key, after a restart as well, and the server gives the same successor
// again. So the key is stored beside the refresh token before that is sent.
//
//keyladder:code app-renew
func (a *harbourApp) renew(ctx context.Context, who protect.SignedIn) (protect.SignedIn, *sdk.Screen) {
	a.renewing.Lock()
	defer a.renewing.Unlock()
	now := a.who()
	if now.Empty() {
		return now, &sdk.Screen{Error: signedOut}
	}
	if now.Token != who.Token { // another call has done it
		return now, nil
	}
	key, err := a.beginRenewal(now)
	if err != nil {
		return now, &sdk.Screen{Error: err.Error()}
	}
	var renewed protect.SignedIn
	for range attempts {
		renewed, err = attested(ctx, a, now.Provider, func(oauth *protect.OAuth) (protect.SignedIn, error) {
			return oauth.Refresh(ctx, a.tokenClient(), now.Refresh, key)
		})
		if err == nil || !lost(err) || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		screen := a.notRenewed(now, err)
		return now, &screen
	}
	renewed.User = now.User
	switch err := a.replace(now, renewed, ""); {
	case errors.Is(err, errReplaced):
		a.endAtBank(ctx, renewed)
		return now, &sdk.Screen{Error: signedOut}
	case err != nil: // the same answer can be asked for again
		return now, &sdk.Screen{Error: err.Error()}
	}
	return renewed, nil
}

// beginRenewal is the key of a renewal: that of one whose answer was lost, or a new one.
func (a *harbourApp) beginRenewal(who protect.SignedIn) (string, error) {
	a.mu.Lock()
	key := a.renewalKey
	a.mu.Unlock()
	if key != "" {
		return key, nil
	}
	key = rand.Text() // 130 bits
	return key, a.replace(who, who, key)
}

// lost says whether the server may have done what it was asked for, and the app has not heard of
// it. An answer that one of the app's own checks refuses will be refused again.
func lost(err error) bool {
	var refused *protect.GrantError
	check, _ := protect.Refused(err)
	return !errors.As(err, &refused) && !errors.As(err, new(*unprovenError)) && !errors.As(err, new(*attestationError)) && check == ""
}

// notRenewed is what to show where no access token was got. Only the server signs somebody out
// so: where it could not be asked, the refresh token is still the newest that the app knows of.
func (a *harbourApp) notRenewed(who protect.SignedIn, err error) sdk.Screen {
	var refused *protect.GrantError
	if !errors.As(err, &refused) {
		return a.failedTrade(err)
	}
	switch refused.Code {
	case "invalid_grant":
	case "temporarily_unavailable":
		return sdk.Screen{Error: "The bank can't renew your access at the moment: a server of its does not run, or has too much to do. You stay signed in. Try again in a moment."}
	default:
		return sdk.Screen{Error: grantAdvice(refused)}
	}
	if err := a.forget(who); err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	return sdk.Screen{Error: signedOut}
}
