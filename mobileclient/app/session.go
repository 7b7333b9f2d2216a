package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/mechanism/session"
)

// userSession stands for the user who signed in. It is kept in the app's storage, so
// that nobody has to sign in at every start. Whoever has a copy of that storage has it too.
type userSession struct {
	Key  session.Key `json:"session_key"`
	User string      `json:"user"`
}

// credentials are what the user typed in. They go into one request and are kept nowhere.
type credentials struct{ user, password string }

const sessionPath = "/v1/session"

// sessionItem is the place in the app's storage; sessions are good at one stage.
func (p *plan) sessionItem() string { return "session." + p.stage }

func (b *bank) loadSession() error {
	if !b.plan.users {
		return nil
	}
	var stored userSession
	if err := b.loadItem(b.plan.sessionItem(), &stored); err != nil {
		return err
	}
	if _, err := session.ParseKey(string(stored.Key)); err == nil {
		b.session = &stored
	}
	return nil
}

// user is who is signed in; empty: nobody.
func (b *bank) user() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == nil {
		return ""
	}
	return b.session.User
}

// sessionKey is the key of who is signed in; empty: nobody.
func (b *bank) sessionKey() session.Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == nil {
		return ""
	}
	return b.session.Key
}

// signIn trades a password for a session key.
//
//keyladder:code app-sign-in
func (b *bank) signIn(ctx context.Context, user, password string) sdk.Screen {
	if !b.plan.users {
		return sdk.Screen{Error: "Nobody signs in at this stage: the bank knows the app only."}
	}
	if err := session.SetBasic(http.Header{}, user, password); err != nil {
		return sdk.Screen{Error: "This name and password can't be sent: " + err.Error() + "."}
	}
	if refused := b.register(ctx); refused != nil {
		return *refused
	}
	outcome := b.sendKnown(ctx, request{
		method: http.MethodPost, path: sessionPath, login: &credentials{user, password}, settled: true,
	})
	if !outcome.screen.OK {
		return outcome.screen
	}
	var opened struct {
		userSession
		IdleSeconds int       `json:"idle_seconds"`
		ExpiresAt   time.Time `json:"expires_at"`
	}
	err := json.Unmarshal(outcome.screen.Body, &opened)
	if _, malformed := session.ParseKey(string(opened.Key)); err != nil || malformed != nil || opened.User == "" {
		return sdk.Screen{Status: outcome.screen.Status, Error: "The bank's answer to the sign-in can't be understood."}
	}
	if err := b.storeItem(b.plan.sessionItem(), opened.userSession); err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	b.mu.Lock()
	before := b.session
	b.session = &opened.userSession
	b.mu.Unlock()
	if before != nil { // who was signed in before is not any more
		b.send(ctx, request{method: http.MethodDelete, path: sessionPath, session: before.Key})
	}
	screen := outcome.screen
	screen.Body, err = json.Marshal(map[string]any{ // all but the key, which is nobody's to read
		"user": opened.User, "idle_seconds": opened.IdleSeconds, "expires_at": opened.ExpiresAt,
	})
	if err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	return screen
}

// signOut ends the session at the bank, where that is possible, and in the app in any case.
func (b *bank) signOut(ctx context.Context) sdk.Screen {
	key := b.sessionKey()
	if key == "" {
		return sdk.Screen{OK: true}
	}
	if err := b.forget(key); err != nil {
		return sdk.Screen{Error: err.Error()}
	}
	outcome := b.send(ctx, request{method: http.MethodDelete, path: sessionPath, session: key})
	if !outcome.screen.OK && !outcome.sessionGone() {
		outcome.screen.Error = "You are signed out on this phone. The bank could not be told, so the session ends by itself when it has not been used for some time. " + outcome.screen.Error
		return outcome.screen
	}
	return sdk.Screen{OK: true, Status: outcome.screen.Status}
}

// forget drops a session, unless another one has taken its place.
func (b *bank) forget(key session.Key) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == nil || b.session.Key != key {
		return nil
	}
	b.session = nil
	return b.system.Delete(b.plan.sessionItem())
}

// noticeSignedOut forgets a session that the bank has ended. Only the bank can say so:
// an answer that anybody could have sent signs nobody out.
func (b *bank) noticeSignedOut(r request, o outcome) outcome {
	if r.session == "" || !o.sessionGone() {
		return o
	}
	if err := b.forget(r.session); err != nil {
		o.screen.Error = err.Error()
		return o
	}
	o.screen.Error = "You are signed out: your session has ended. Sign in again."
	return o
}
