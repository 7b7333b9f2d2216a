package lab_test

import (
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/mobileclient/device"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// overlap is for how long a secret that was replaced is good in these tests.
const overlap = 6 * time.Second

// overlapping is the catalog with that time at a stage, which is the first that fits.
func overlapping(t *testing.T, fits func(catalog.Policies) bool) (catalog.Set, catalog.Stage) {
	t.Helper()
	built := catalog.All().Built()
	i := slices.IndexFunc(built, func(s catalog.Stage) bool { return fits(s.Policies) })
	if i < 0 {
		t.Fatal("no stage fits")
	}
	stages := catalog.All().With(built[i].Slug, func(p *catalog.Policies) { p.API.SecretOverlap = catalog.Decide(overlap) })
	stage, _ := stages.Lookup(built[i].Slug)
	return stages, stage
}

// rotation is a lab in which secrets are rotated.
type rotation struct {
	*testing.T
	*lab.Lab
	stage catalog.Stage
	http  *http.Client
}

func startRotation(t *testing.T, fits func(catalog.Policies) bool, settings map[string]string) *rotation {
	t.Helper()
	stages, stage := overlapping(t, fits)
	all := testbank.ManyCalls()
	maps.Copy(all, settings)
	return newRotation(t, start(t, lab.Options{Stages: stages, Settings: all}), stage)
}

func newRotation(t *testing.T, l *lab.Lab, stage catalog.Stage) *rotation {
	t.Helper()
	roots, err := pki.Pool(l.Roots)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &rotation{t, l, stage, &http.Client{Transport: transport, Timeout: time.Minute}}
}

func (r *rotation) secret(key string) string {
	r.Helper()
	found, err := manage.Get[manage.Secret](r.Context(), r.Auth, "/keys/"+key+"/secret")
	if err != nil {
		r.Fatal(err)
	}
	return found.Secret
}

func (r *rotation) rotate(key string) string {
	r.Helper()
	made, err := manage.Post[manage.Secret](r.Context(), r.Auth, "/keys/"+key+"/secret", nil)
	if err != nil {
		r.Fatal(err)
	}
	return made.Secret
}

// status is that of a request with a client integrity token which was signed just now, with a secret
// of the servers.
func (r *rotation) status(secret, method, address string, form url.Values) int {
	r.Helper()
	request, err := http.NewRequestWithContext(r.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		r.Fatal(err)
	}
	at := r.Addresses
	text, err := integrity.Sign(token.Key{ID: serversKey, Secret: token.Secret(secret)}, integrity.Claims{
		Issuer: at.URL(deployment.AttestationService) + "/" + r.stage.Slug, ClientID: "harbour-mobile",
		Audience: []string{at.URL(deployment.API) + "/" + r.stage.Slug + "/v1", at.URL(deployment.MediatorService) + "/" + r.stage.Slug},
		Issued:   time.Now().Truncate(time.Second), Expires: time.Now().Add(time.Minute).Truncate(time.Second), ID: token.NewID(), Release: 3, Level: "package-challenge",
	})
	if err != nil {
		r.Fatal(err)
	}
	integrity.Set(request.Header, text)
	request.Header.Set("User-Agent", "HarbourBank/3.0")
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.do(request)
}

func (r *rotation) do(request *http.Request) int {
	r.Helper()
	response, err := r.http.Do(request)
	if err != nil {
		r.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// serversKey is the key whose secret the bank's servers share.
const serversKey = "harbour-mobile-servers"

// accepts is whether each of the servers takes what somebody shows who has a secret of theirs: the
// API, the mediator, and the authorization server.
func (r *rotation) accepts(secret string) (all [3]bool) {
	r.Helper()
	made := url.Values{"grant_type": {"authorization_code"}, "code": {"made up"}}
	all[0] = r.status(secret, http.MethodGet, r.Addresses.URL(deployment.API)+"/"+r.stage.Slug+"/v1/rates", nil) == http.StatusOK
	all[1] = r.status(secret, http.MethodPost, r.Addresses.URL(deployment.MediatorService)+"/"+r.stage.Slug+"/token", made) == http.StatusBadRequest // for the code
	request, err := http.NewRequestWithContext(r.Context(), http.MethodPost, r.Addresses.URL(deployment.AuthServer)+"/"+r.stage.Slug+"/token", strings.NewReader(made.Encode()))
	if err != nil {
		r.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(serversKey, url.QueryEscape(secret))
	all[2] = r.do(request) == http.StatusBadRequest
	return all
}

var (
	everywhere = [3]bool{true, true, true}
	nowhere    = [3]bool{}
)

// TestServersSecretIsRotated: while 100 calls a second run, all servers change over, and no call of
// the installed apps fails, neither in the overlap nor after it, when the old secret is refused. Their
// access tokens are renewed all the time, through the mediator.
func TestServersSecretIsRotated(t *testing.T) {
	t.Parallel()
	r := startRotation(t, func(p catalog.Policies) bool { return p.Call.ClientAuth == catalog.Mediated },
		map[string]string{"token_lifetime_short": "2s", "device_per_second": "1000", "device_burst": "1000"})
	const (
		perSecond = 100
		before    = 2 * time.Second
		after     = 3 * time.Second
	)
	var apps []*atBank
	for _, who := range []string{"alice", "bob"} {
		apps = append(apps, atBankOf(t, r.Lab, r.stage, who))
		apps[len(apps)-1].signIn()
	}
	old := r.secret(serversKey)
	if got := r.accepts(old); got != everywhere {
		t.Fatalf("before: %v", got)
	}

	calls := make(chan int, int(before+overlap+after)/int(time.Second)*perSecond)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := range calls {
				app := apps[n%len(apps)]
				call := app.app.Accounts
				if n%4 < 2 {
					call = app.app.Rates
				}
				if screen, err := call(t.Context()); err != nil || !screen.OK {
					t.Errorf("call %d: %v, %+v", n, err, screen)
				}
			}
		})
	}
	began, ticker := time.Now(), time.NewTicker(time.Second/perSecond)
	defer ticker.Stop()
	var made string
	var rotated time.Time
	refused := make(chan struct{})
	for n := range cap(calls) {
		calls <- n
		<-ticker.C
		if made == "" && time.Since(began) >= before {
			made, rotated = r.rotate(serversKey), time.Now()
			if old == made {
				t.Fatal("it is the same")
			}
			wg.Go(func() { // beside the calls
				defer close(refused)
				for r.accepts(made) != everywhere {
					if time.Since(rotated) > time.Second {
						t.Error("not all servers know the new secret within a second")
						return
					}
				}
				if got := r.accepts(old); got != everywhere && time.Since(rotated) < overlap {
					t.Errorf("in the overlap the old secret is accepted by %v", got)
				}
				time.Sleep(time.Until(rotated.Add(overlap)))
				if got := r.accepts(old); got != nowhere {
					t.Errorf("after the overlap the old secret is accepted by %v", got)
				}
			})
		}
	}
	close(calls)
	<-refused
	wg.Wait()
	t.Logf("%d calls in %s, with a rotation after %s", cap(calls), time.Since(began).Round(time.Millisecond), rotated.Sub(began).Round(time.Millisecond))
	if got := r.accepts(made); got != everywhere {
		t.Errorf("the new secret: %v", got)
	}
	for _, app := range apps {
		families, err := manage.Families(t.Context(), r.Auth, manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{User: app.Name, Stage: r.stage.Slug, State: "good"}})
		if err != nil || families.Total != 1 || families.Families[0].Number < 4 {
			t.Errorf("%s has not renewed: %+v, %v", app.Name, families, err)
		}
	}
}

// TestAppsSecretIsRotated: the same where the secret is in the app. In the overlap nobody notices, and
// then the installed app is shut out, and can't sign anybody in either.
func TestAppsSecretIsRotated(t *testing.T) {
	t.Parallel()
	r := startRotation(t, func(p catalog.Policies) bool {
		return p.Auth.Grants == catalog.CodeAndRefresh && p.Call.ClientAuth == catalog.ClientSecret
	}, nil)
	alice := atBankOf(t, r.Lab, r.stage, "alice")
	alice.signIn()
	r.rotate("harbour-mobile")
	rotated := time.Now()
	time.Sleep(time.Second)
	if screen, err := alice.accounts(); time.Since(rotated) < overlap && (err != nil || !screen.OK) {
		t.Errorf("in the overlap: %v, %+v", err, screen)
	}
	time.Sleep(time.Until(rotated.Add(overlap)))
	for name, call := range map[string]func() (device.Screen, error){"accounts": alice.accounts, "rates": func() (device.Screen, error) { return alice.app.Rates(t.Context()) }} {
		if screen, err := call(); err != nil || screen.OK || screen.Status != http.StatusUnauthorized {
			t.Errorf("%s, after the overlap: %v, %+v", name, err, screen)
		}
	}
	if _, err := alice.app.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	if screen, err := alice.SignIn(t.Context(), alice.phone, alice.app); err == nil && screen.OK {
		t.Errorf("a sign-in, after the overlap: %+v", screen)
	}
}
