package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/protect"
)

// userSession is what the app's storage holds of a sign-in: a session key, a refresh token or
// an access token.
type userSession struct {
	Key        session.Key `json:"session_key,omitempty"`
	Refresh    string      `json:"refresh_token,omitempty"`
	RenewalKey string      `json:"renewal_key,omitempty"` // of a renewal whose answer has not arrived
	Token      string      `json:"access_token,omitempty"`
	ExpiresAt  time.Time   `json:"expires_at,omitzero"` // of the access token
	User       string      `json:"user"`
	Provider   string      `json:"provider,omitempty"` // who has vouched for the user; empty: the bank
}

// sessionItem is the place in the app's storage; sessions are good at one stage.
func (a *harbourApp) sessionItem() string { return "session." + a.stage }

// storesUsers says whether the app may keep what stands for its user in its storage, so that
// nobody has to sign in at every start. Anyone who has a copy of that storage has it, too.
func (a *harbourApp) storesUsers() bool {
	return a.caller.Policy().UserKey == catalog.UserKeyInStorage
}

func (a *harbourApp) loadSession() error {
	if !a.knowsUsers() {
		return nil
	}
	if !a.storesUsers() {
		return a.system.Delete(a.sessionItem()) // of a release that did
	}
	var stored userSession
	if err := a.loadItem(a.sessionItem(), &stored); err != nil {
		return err
	}
	if _, err := session.ParseKey(string(stored.Key)); err == nil || stored.Token != "" || stored.Refresh != "" {
		a.signedIn = protect.SignedIn{User: stored.User, Session: stored.Key, Refresh: stored.Refresh, Token: stored.Token, ExpiresAt: stored.ExpiresAt, Provider: stored.Provider}
		a.renewalKey, a.stored = stored.RenewalKey, true
	}
	return nil
}

// who is what stands for the user who is signed in; empty: nobody is.
func (a *harbourApp) who() protect.SignedIn {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.signedIn
}

// signIn trades a password for what stands for the user from then on. The password goes into
// one request and is kept nowhere; what stands for the user, where they want to stay signed in
// and the stage's app may do that, in the storage.
//
//keyladder:code app-sign-in
func (a *harbourApp) signIn(ctx context.Context, user, password string, memoryOnly bool) sdk.Screen {
	signIn, err := a.caller.SignInCall(user, password)
	switch {
	case errors.Is(err, protect.ErrNobody):
		return sdk.Screen{Error: "Nobody signs in at this stage: the bank knows the app only."}
	case err != nil:
		return sdk.Screen{Error: "This name and password can't be sent: " + err.Error() + "."}
	}
	defer clear(signIn.Body)
	if refused := a.register(ctx); refused != nil {
		return *refused
	}
	outcome := a.sendKnown(ctx, call{Call: signIn, settled: true})
	if !outcome.screen.OK {
		return outcome.screen
	}
	opened, err := a.caller.ReadSignIn(user, outcome.answer.Body)
	if err != nil {
		return sdk.Screen{Status: outcome.screen.Status, Error: "The bank's answer to the sign-in can't be understood."}
	}
	stored := a.storesUsers() && !memoryOnly
	before, err := a.keep(opened, stored)
	if err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	if !before.Empty() { // who was signed in before is not any more
		a.endAtBank(ctx, before)
	}
	screen := outcome.screen
	shown := map[string]any{"user": opened.User, "expires_at": opened.ExpiresAt, "stored": stored} // but not what stands for them, which is nobody's to read
	if opened.IdleSeconds > 0 {
		shown["idle_seconds"] = opened.IdleSeconds
	}
	if screen.Body, err = json.Marshal(shown); err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	return screen
}

// keep remembers who signed in, in the storage if that is to outlast the app's process, and
// returns who was signed in before.
//
//keyladder:code app-keep-session
func (a *harbourApp) keep(opened protect.SignedIn, stored bool) (before protect.SignedIn, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if stored {
		err = a.storeSession(opened, "")
	} else {
		err = a.system.Delete(a.sessionItem()) // of an earlier sign-in
	}
	if err != nil {
		return before, err
	}
	before, a.signedIn, a.renewalKey, a.stored = a.signedIn, opened, "", stored
	return before, nil
}

// storeSession writes what stands for a user into the storage. An access token that can be had
// anew stays in memory.
func (a *harbourApp) storeSession(who protect.SignedIn, renewalKey string) error {
	kept := userSession{Key: who.Session, Refresh: who.Refresh, RenewalKey: renewalKey, User: who.User, Provider: who.Provider}
	if who.Token != "" && who.Refresh == "" {
		kept.Token, kept.ExpiresAt = who.Token, who.ExpiresAt
	}
	return a.storeItem(a.sessionItem(), kept)
}

// replace puts something else that stands for the same user in the place of what does now, in
// the storage first, where it is there. The renewal key is that of a renewal that begins; empty:
// there is none. Its error is errReplaced where it is too late.
func (a *harbourApp) replace(who, by protect.SignedIn, renewalKey string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signedIn != who {
		return errReplaced
	}
	if a.stored {
		if err := a.storeSession(by, renewalKey); err != nil {
			return err
		}
	}
	a.signedIn, a.renewalKey = by, renewalKey
	return nil
}

// signOut ends the session or revokes the token at the bank, where that is possible, and
// forgets it in any case.
//
//keyladder:code app-sign-out
func (a *harbourApp) signOut(ctx context.Context) sdk.Screen {
	who, err := a.drop()
	if err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	if who.Empty() {
		return sdk.Screen{OK: true}
	}
	outcome := a.endAtBank(ctx, who)
	if !outcome.screen.OK && !outcome.gone() && !outcome.revoked(who) {
		outcome.screen.Error = "You are signed out on this phone. The bank could not be told, so there the sign-in ends by itself, when its time is over. " + outcome.screen.Error
		return outcome.screen
	}
	return sdk.Screen{OK: true, Status: outcome.screen.Status}
}

// endAtBank tells the bank that what stands for a user is not to be good any more.
func (a *harbourApp) endAtBank(ctx context.Context, who protect.SignedIn) outcome {
	caller, err := a.caller.As(who.Show)
	if err != nil {
		return outcome{screen: a.failedCall("", err)}
	}
	signOut, err := caller.SignOutCall()
	if err != nil {
		return outcome{screen: a.failedCall("", err)}
	}
	return a.sendKnown(ctx, call{Call: signOut, user: who, settled: true})
}

// revoked says whether the bank has taken a token back. The rest of the answer does not
// matter (RFC 7009, section 2.2).
func (o outcome) revoked(who protect.SignedIn) bool {
	return (who.Token != "" || who.Refresh != "") && o.answer.Status == http.StatusOK
}

// drop drops what stands for whoever is signed in, and returns it.
func (a *harbourApp) drop() (who protect.SignedIn, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signedIn.Empty() {
		return who, nil
	}
	who, a.signedIn, a.renewalKey = a.signedIn, protect.SignedIn{}, ""
	return who, a.system.Delete(a.sessionItem())
}

// forget drops what stands for a user, unless something else has taken its place.
func (a *harbourApp) forget(who protect.SignedIn) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signedIn != who {
		return nil
	}
	a.signedIn, a.renewalKey = protect.SignedIn{}, ""
	return a.system.Delete(a.sessionItem())
}

// noticeSignedOut forgets what the bank does not accept any more. Only the bank can say so:
// an answer that anybody could have sent signs nobody out.
func (a *harbourApp) noticeSignedOut(c call, o outcome) outcome {
	if c.user.Empty() || !o.gone() {
		return o
	}
	if hasExpired(c.user) {
		o.screen.Error = "The call took so long that your access ended meanwhile. You stay signed in. Try again in a moment."
		return o
	}
	if err := a.forget(c.user); err != nil {
		o.screen.Error = err.Error()
		return o
	}
	o.screen.Error = signedOut
	return o
}

const signedOut = "You are signed out: your session has ended. Sign in again."
