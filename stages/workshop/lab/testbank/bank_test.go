package testbank_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab/testbank"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := testbank.Remove(); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// client calls a bank at a stage.
type client struct {
	t      *testing.T
	stage  catalog.Stage
	caller *protect.Caller
	http   *http.Client
}

func newClient(t *testing.T, b *testbank.Bank, stage catalog.Stage) *client {
	t.Helper()
	caller, err := protect.New(stage.Call, b.API(stage.Slug), b.IdentityAt(stage.Call, "harbour-mobile"))
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, stage: stage, caller: caller, http: &http.Client{Transport: &http.Transport{TLSClientConfig: caller.TLS(b.Roots)}}}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func (c *client) as(change func(*protect.Identity)) {
	c.t.Helper()
	caller, err := c.caller.As(change)
	if err != nil {
		c.t.Fatal(err)
	}
	c.caller = caller
}

func (c *client) call(call protect.Call) protect.Answer {
	c.t.Helper()
	dressed, err := c.caller.Dress(call)
	if err != nil {
		c.t.Fatal(err)
	}
	request, err := dressed.HTTP(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	answer, err := dressed.Check(response, body)
	if err != nil {
		c.t.Fatalf("%s: %v", dressed.URL, err)
	}
	return answer
}

// authorize signs alice in on the authorization server's page.
func (c *client) authorize(b *testbank.Bank) {
	c.t.Helper()
	redirectURI := protect.RedirectURI("com.harbourbank.app")
	as, err := c.caller.OAuth(redirectURI)
	if err != nil {
		c.t.Fatal(err)
	}
	asked, err := as.Ask(c.t.Context(), c.http)
	if err != nil {
		c.t.Fatal(err)
	}
	link, err := person.People(b.Passwords).Named("alice").Authorize(c.t.Context(), c.http.Transport, asked.URL, redirectURI)
	if err != nil {
		c.t.Fatal(err)
	}
	response, err := as.ReadResponse(link, asked)
	if err != nil {
		c.t.Fatal(err)
	}
	opened := response.SignedIn
	if response.Code != "" {
		if opened, err = as.Exchange(c.t.Context(), c.http, response); err != nil {
			c.t.Fatal(err)
		}
	}
	c.as(opened.Show)
}

// enter registers and signs in, where the stage has that.
func (c *client) enter(b *testbank.Bank) {
	c.t.Helper()
	policy := c.caller.Policy()
	if policy.Devices == catalog.RegisteredDevices {
		made, err := protect.ReadInstallation(c.call(protect.RegisterCall("phone")).Body, "phone")
		if err != nil {
			c.t.Fatal(err)
		}
		c.as(func(i *protect.Identity) { i.Device = made })
	}
	if policy.AppProof == catalog.IntegrityToken {
		phone := c.t.TempDir()
		b.Equip(phone)
		app, err := deploy.OpenApp(b.Package(c.stage), "phone", device.HardwareFolder(phone))
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(app.Close)
		if c.caller, err = app.Equip(c.caller); err != nil {
			c.t.Fatal(err)
		}
		held, err := app.Attest(c.t.Context(), c.http, c.caller)
		if err != nil {
			c.t.Fatal(err)
		}
		c.as(held.Show)
	}
	if policy.Grant.InAgent() {
		c.authorize(b)
	} else if policy.UserProof != catalog.NoUser {
		signIn, err := c.caller.SignInCall("alice", b.Passwords["alice"])
		if err != nil {
			c.t.Fatal(err)
		}
		opened, err := c.caller.ReadSignIn("alice", c.call(signIn).Body)
		if err != nil {
			c.t.Fatal(err)
		}
		c.as(opened.Show)
	}
}

// TestEveryStage dresses calls for the real server, at every stage.
func TestEveryStage(t *testing.T) {
	t.Parallel()
	b := testbank.Start(t, testbank.Options{})
	for _, stage := range b.Stages.Built() {
		c := newClient(t, b, stage)
		c.enter(b)
		for _, call := range []protect.Call{
			{Path: "/v1/rates", Public: true},
			{Path: "/v1/accounts"},
			{Method: http.MethodPost, Path: "/v1/transfers", Body: []byte(`{"from":"HB-1001","to":"HB-2001","amount":1,"currency":"EUR","reference":"test"}`)},
		} {
			answer := c.call(call)
			if answer.Status >= 300 || answer.Authentic != (stage.Call.AppProof == catalog.Hawk || stage.Call.Sender == catalog.SignedMessages) || answer.Sealed != (stage.Call.Bodies == catalog.SealedBodies) {
				t.Errorf("%s %s: %d, authentic: %v, sealed: %v, %s", stage.Slug, call.Path, answer.Status, answer.Authentic, answer.Sealed, answer.Body)
			}
		}
		c.as(func(i *protect.Identity) { i.Secret, i.ClientID, i.Integrity = "wrong", "wrong", "wrong" })
		if answer := c.call(protect.Call{Path: "/v1/rates", Public: true}); answer.Status != http.StatusUnauthorized {
			t.Errorf("%s: a stranger gets %d %s", stage.Slug, answer.Status, answer.Body)
		}
	}
}

func TestMisbehaviour(t *testing.T) {
	t.Parallel()
	b := testbank.Start(t, testbank.Options{})
	stage, _ := b.Stages.Lookup("hmac")
	c := newClient(t, b, stage)
	c.enter(b)
	rates := protect.Call{Path: "/v1/rates", Public: true}

	b.SetClock(time.Hour)
	if answer := c.call(rates); answer.Status != http.StatusUnauthorized || !answer.ToldTime {
		t.Errorf("the clock is ahead: %d", answer.Status)
	}
	if answer := c.call(rates); answer.Status != http.StatusOK {
		t.Errorf("the clock was learned: %d", answer.Status)
	}
	b.SetBack()
	if answer := c.call(rates); answer.Status != http.StatusForbidden {
		t.Errorf("it knows no devices: %d", answer.Status)
	}
	b.ChangeAnswers(func(r *http.Response, body []byte) []byte {
		r.StatusCode = http.StatusTeapot
		return bytes.ToUpper(body)
	})
	dressed, err := c.caller.Dress(rates)
	if err != nil {
		t.Fatal(err)
	}
	request, _ := dressed.HTTP(t.Context())
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	response.Body.Close()
	if _, err := dressed.Check(response, body); response.StatusCode != http.StatusTeapot || err == nil {
		t.Errorf("a changed answer: %d, %v", response.StatusCode, err)
	}
	b.ChangeAnswers(nil)
	b.Answer(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	})
	if answer := c.call(rates); answer.Status != http.StatusBadGateway {
		t.Errorf("answered instead: %d", answer.Status)
	}
	b.Answer(nil)
	want := []string{"POST /v1/devices", "GET /v1/rates", "GET /v1/rates", "GET /v1/rates", "GET /v1/rates", "GET /v1/rates"}
	if got := b.Calls(); !slices.Equal(got, want) {
		t.Errorf("arrived: %v", got)
	}
}
