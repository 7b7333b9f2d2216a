package server

import (
	"net/http"
	"strings"
	"testing"

	"keyladder/internal/manage"
)

func TestStolenCodes(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/stolen-codes").want(t, http.StatusOK, `data-defences="nothing"`, "Nothing was measured since the admin UI was started", `href="/stages/mediated"`)
	b.post("/stolen-codes", "lifetime_seconds", "5", "newest", "yes").want(t, http.StatusSeeOther)
	b.get("/stolen-codes").want(t, http.StatusOK, `data-defences="codes live 5 s, the newest code alone"`, "Switched on from the next code on", `value="5"`)
	if want := (manage.CodeDefences{LifetimeSeconds: 5, Newest: true}); set.auth.defences != want {
		t.Errorf("%+v", set.auth.defences)
	}
	for text, says := range map[string]string{"soon": "A code&#39;s life is a whole number of seconds", "600": "A code can be good for 1 to 60 seconds."} {
		b.post("/stolen-codes", "lifetime_seconds", text, "page", "/stolen-codes").want(t, http.StatusSeeOther)
		b.get("/stolen-codes").want(t, http.StatusOK, `data-notice="failed"`, says, `data-defences="codes live 5 s, the newest code alone"`)
	}
	b.get("/audit").want(t, http.StatusOK, `data-audit="switch defences of authorization codes" data-audit-outcome="done"`, "codes live 5 s, the newest code alone")
	set.auth.Stop(true)
	b.get("/stolen-codes").want(t, http.StatusOK, "The authorization server does not answer")
}

func TestStolenCodesAreCounted(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.post("/stolen-codes/measure", "times", "0").want(t, http.StatusSeeOther)
	b.get("/stolen-codes").want(t, http.StatusOK, "Choose a number of tries from 1 to 20")
	set.referee.hold = make(chan struct{})
	started := make(chan reply, 1)
	go func() { started <- b.post("/stolen-codes/measure", "times", "3") }()
	set.referee.hold <- struct{}{}
	(<-started).want(t, http.StatusSeeOther)
	b.get("/stolen-codes").want(t, http.StatusOK, `data-rounds="1"`, "<progress", "1 of 4 at stage 13")
	b.post("/stolen-codes", "newest", "yes").want(t, http.StatusSeeOther)
	b.get("/stolen-codes").want(t, http.StatusOK, "A measurement is under way, and switches them itself", `data-defences="nothing"`)
	b.post("/stolen-codes/measure", "times", "3").want(t, http.StatusSeeOther)
	b.get("/stolen-codes").want(t, http.StatusOK, "A measurement is under way already")
	close(set.referee.hold)
	set.runner.Wait()
	page := b.get("/stolen-codes")
	page.want(t, http.StatusOK, `data-rounds="4"`, `data-round="nothing, 0 s" data-robbed="3"`, `data-round="the newest code alone, 6 s" data-robbed="0"`, "it stops nobody", "it stops this thief")
	if strings.Contains(page.Body, "<progress") {
		t.Error("it is still under way")
	}
	golden(t, "stolen-codes", page.Body)
	b.get("/audit").want(t, http.StatusOK, `data-audit="count stolen codes" data-audit-outcome="done"`, "mediated, 3 times each")
}
