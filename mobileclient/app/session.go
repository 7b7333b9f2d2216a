package main

import (
	"context"
	"encoding/json"

	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/protect"
)

// userSession stands for the user who signed in.
type userSession struct {
	Key  session.Key `json:"session_key"`
	User string      `json:"user"`
}

// sessionItem is the place in the app's storage; sessions are good at one stage.
func (a *harbourApp) sessionItem() string { return "session." + a.stage }

// storesSessions says whether the app may keep sessions in its storage, so that nobody has to
// sign in at every start. Anyone who has a copy of that storage has them, too.
func (a *harbourApp) storesSessions() bool {
	return a.caller.Policy().UserKey == catalog.UserKeyInStorage
}

func (a *harbourApp) loadSession() error {
	if !a.knowsUsers() {
		return nil
	}
	if !a.storesSessions() {
		return a.system.Delete(a.sessionItem()) // of a release that did
	}
	var stored userSession
	if err := a.loadItem(a.sessionItem(), &stored); err != nil {
		return err
	}
	if _, err := session.ParseKey(string(stored.Key)); err == nil {
		a.session = &stored
	}
	return nil
}

// user is who is signed in; empty: nobody.
func (a *harbourApp) user() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.session == nil {
		return ""
	}
	return a.session.User
}

// sessionKey is the key of who is signed in; empty: nobody.
func (a *harbourApp) sessionKey() session.Key {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.session == nil {
		return ""
	}
	return a.session.Key
}

// signIn trades a password for a session key. The password goes into one request and is kept
// nowhere; the key, where its user wants to stay signed in and the stage's app may do that, in
// the storage.
//
//keyladder:code app-sign-in
func (a *harbourApp) signIn(ctx context.Context, user, password string, memoryOnly bool) sdk.Screen {
	if !a.knowsUsers() {
		return sdk.Screen{Error: "Nobody signs in at this stage: the bank knows the app only."}
	}
	signIn, err := protect.SignInCall(user, password)
	if err != nil {
		return sdk.Screen{Error: "This name and password can't be sent: " + err.Error() + "."}
	}
	if refused := a.register(ctx); refused != nil {
		return *refused
	}
	outcome := a.sendKnown(ctx, call{Call: signIn, settled: true})
	if !outcome.screen.OK {
		return outcome.screen
	}
	opened, err := protect.ReadSession(outcome.answer.Body)
	if err != nil {
		return sdk.Screen{Status: outcome.screen.Status, Error: "The bank's answer to the sign-in can't be understood."}
	}
	stored := a.storesSessions() && !memoryOnly
	before, err := a.keepSession(userSession{opened.Key, opened.User}, stored)
	if err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	if before != nil { // who was signed in before is not any more
		a.send(ctx, call{Call: protect.SignOutCall(), session: before.Key})
	}
	screen := outcome.screen
	screen.Body, err = json.Marshal(map[string]any{ // all but the key, which is nobody's to read
		"user": opened.User, "idle_seconds": opened.IdleSeconds, "expires_at": opened.ExpiresAt, "stored": stored,
	})
	if err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	return screen
}

// keepSession keeps a session, in the storage if it is to outlast the app's process, and
// returns the one whose place it takes.
//
//keyladder:code app-keep-session
func (a *harbourApp) keepSession(opened userSession, stored bool) (before *userSession, err error) {
	if stored {
		err = a.storeItem(a.sessionItem(), opened)
	} else {
		err = a.system.Delete(a.sessionItem()) // of an earlier sign-in
	}
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	before, a.session = a.session, &opened
	return before, nil
}

// signOut ends the session at the bank, where that is possible, and in the app in any case.
func (a *harbourApp) signOut(ctx context.Context) sdk.Screen {
	key := a.sessionKey()
	if key == "" {
		return sdk.Screen{OK: true}
	}
	if err := a.forget(key); err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	outcome := a.sendKnown(ctx, call{Call: protect.SignOutCall(), session: key})
	if !outcome.screen.OK && !outcome.sessionGone() {
		outcome.screen.Error = "You are signed out on this phone. The bank could not be told, so the session ends by itself when it has not been used for some time. " + outcome.screen.Error
		return outcome.screen
	}
	return sdk.Screen{OK: true, Status: outcome.screen.Status}
}

// forget drops a session, unless another one has taken its place.
func (a *harbourApp) forget(key session.Key) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.session == nil || a.session.Key != key {
		return nil
	}
	a.session = nil
	return a.system.Delete(a.sessionItem())
}

// noticeSignedOut forgets a session that the bank has ended. Only the bank can say so:
// an answer that anybody could have sent signs nobody out.
func (a *harbourApp) noticeSignedOut(c call, o outcome) outcome {
	if c.session == "" || !o.sessionGone() {
		return o
	}
	if err := a.forget(c.session); err != nil {
		o.screen.Error = err.Error()
		return o
	}
	o.screen.Error = "You are signed out: your session has ended. Sign in again."
	return o
}
