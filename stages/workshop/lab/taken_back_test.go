package lab_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"

	"keyladder/internal/manage"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// An admin revokes an access token, a family of refresh tokens and a consent of the authorization
// server, and takes back all of a user's: the app is refused within a second of the click, and
// other people's apps go on. In both themes.
func TestAuthorizationIsTakenBackInTheBrowser(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Screens: true, AdminPassword: adminPassword, Settings: testbank.ManyCalls()})
	a := signIn(t, l)
	a.grace = time.Second // the resource server hears of it
	code, refresh := granting(t, catalog.CodeGrant), granting(t, catalog.CodeAndRefresh)
	apps := map[string]*atBank{
		"once":   atBankOf(t, l, code, "alice"),
		"renews": atBankOf(t, l, refresh, "alice"),
		"bob":    atBankOf(t, l, refresh, "bob"),
	}
	apps["bob"].signIn()
	latest := manage.Part{Sort: "-begun", Limit: 1}
	for _, theme := range []string{"light", "dark"} {
		order(a, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
		withinASecond(t, theme+": the revocation of an access token", func() time.Duration {
			apps["once"].signIn()
			list, err := manage.Tokens(t.Context(), l.Auth, manage.TokenQuery{TokenFilter: manage.TokenFilter{User: "alice", Stage: code.Slug, State: "good"}, Part: manage.Part{Sort: "-issued", Limit: 1}})
			if err != nil || list.Total == 0 {
				t.Fatalf("%+v, %v", list, err)
			}
			id := list.Tokens[0].ID
			took := a.refuses("/auth/tokens", `[data-revoke-token="`+id+`"]`, seen(`[data-notice=done]`), apps["once"].accounts, 401)
			a.do("see it", a.page("/auth/tokens/"+id), seen(`[data-revoked=true]`), seen(`[data-test=done]`))
			return took
		})
		withinASecond(t, theme+": the revocation of a family", func() time.Duration {
			apps["renews"].signIn()
			list, err := manage.Families(t.Context(), l.Auth, manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{User: "alice", State: "good"}, Part: latest})
			if err != nil || list.Total == 0 {
				t.Fatalf("%+v, %v", list, err)
			}
			id := list.Families[0].ID
			took := a.refuses("/auth/families/"+id, `[data-revoke-family="`+id+`"]`, seen(`[data-family="`+id+`"][data-revoked=true]`), apps["renews"].accounts, signedOut)
			if tree := read[int](a, `document.querySelectorAll("[data-test=tree] [data-token] .verdict.stop").length`); tree != 1 {
				t.Errorf("%d access tokens of the family are shown as revoked", tree)
			}
			return took
		})
		withinASecond(t, theme+": the withdrawal of a consent", func() time.Duration {
			apps["renews"].signIn()
			list, err := manage.Consents(t.Context(), l.Auth, manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{User: "alice", Stage: refresh.Slug}})
			if err != nil || list.Total != 1 {
				t.Fatalf("%+v, %v", list, err)
			}
			return a.refuses("/auth/consents", `[data-withdraw-consent="`+list.Consents[0].ID+`"]`, seen(`[data-notice=done]`), apps["renews"].accounts, signedOut)
		})
		withinASecond(t, theme+": the end of all of a user's", func() time.Duration {
			apps["once"].signIn()
			apps["renews"].signIn()
			took := a.refuses("/auth/users", `[data-end-all=alice]`, seen(`[data-notice=done]`), apps["renews"].accounts, signedOut)
			if screen, err := apps["once"].accounts(); err != nil || screen.Status != 401 {
				t.Errorf("her other app: %v, %+v", err, screen)
			}
			return took
		})
		served(t, "bob's app", apps["bob"].accounts)
	}
}

// signedOut is the status of a screen of an app that has tried to renew its token, and was told
// that it is signed out: that is nothing that the API answered.
const signedOut = 0

// granting is a stage with a grant.
func granting(t *testing.T, grant catalog.Grants) catalog.Stage {
	t.Helper()
	built := catalog.All().Built()
	i := slices.IndexFunc(built, func(s catalog.Stage) bool { return s.Auth.Grants == grant })
	if i < 0 {
		t.Fatalf("no stage has %s", grant)
	}
	return built[i]
}

// atBank is a person with the genuine app on a phone of their own.
type atBank struct {
	person.Person
	t     *testing.T
	phone *device.Device
	app   *device.App
}

func atBankOf(t *testing.T, l *lab.Lab, stage catalog.Stage, user string) *atBank {
	t.Helper()
	phone := newDevice(t, l, stage.Package.Release)
	return &atBank{Person: person.Person{Name: user, Password: password(t, l, user)}, t: t, phone: phone, app: launch(t, phone, stage.Slug)}
}

// signIn signs the person in, who allows what the app asks for, and looks at the accounts.
func (p *atBank) signIn() {
	p.t.Helper()
	served(p.t, p.Name+" signs in", func() (device.Screen, error) { return p.EnsureSignedIn(p.t.Context(), p.phone, p.app) })
	served(p.t, p.Name+"'s accounts", p.accounts)
}

// accounts asks for the person's accounts. An app that got no answer, and does not say that the
// person is signed out, has failed.
func (p *atBank) accounts() (device.Screen, error) {
	screen, err := p.app.Accounts(p.t.Context())
	if err == nil && screen.Status == signedOut && (screen.SignedIn || screen.SignIn != device.InPage) {
		err = fmt.Errorf("no answer: %s", screen.Error)
	}
	return screen, err
}
