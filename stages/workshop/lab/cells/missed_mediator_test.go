package cells_test

import (
	"slices"
	"testing"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
)

// A mediator that is the issuer, and does not heed one of its checks, is found out.
func TestEveryCheckOfTheMediatorIsMissed(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	calls := map[catalog.Check]string{
		catalog.CheckForm:         "a pushed request with a parameter twice",
		catalog.CheckClient:       "a pushed request of one app in the name of another",
		catalog.CheckRedirect:     "a pushed request for another redirect URI",
		catalog.CheckGrant:        "a pushed request for another grant",
		catalog.CheckWanted:       "a pushed request for what nobody may do",
		catalog.CheckPKCE:         "a token request without a code verifier",
		catalog.CheckPushed:       "a pushed request with a reference to another",
		catalog.CheckProvider:     "a provider's answer that nobody waits for",
		catalog.CheckSignIn:       "a sign-in on the page with a wrong password",
		catalog.CheckCode:         "a token request with a code that was used",
		catalog.CheckRefresh:      "a token request with a refresh token that was used",
		catalog.CheckFamilyDevice: "a token request with a code, on another device",
		catalog.CheckGateway:      "accounts past the gateway",
		catalog.CheckIntegrity:    "rates without a client integrity token",
	}
	elsewhere := map[catalog.Check]string{
		catalog.CheckConsent:     "it is the provider that asks the user",
		catalog.CheckDeviceLimit: "no app asks so often: see TestLimits of the mediator",
		catalog.CheckAttested:    "see TestEveryCheckIsMissed",
		catalog.CheckWAF:         "it is switched off until somebody switches it on: see TestWAF of the gateway",
		catalog.CheckUpstream:    "no caller can do anything about it: see TestDown of the gateway",
		catalog.CheckRatesKey:    "no app has the key, and the third party knows no stage: see TestKeys of the rates API",
		catalog.CheckRatesQuota:  "the third party knows no stage: see TestQuotas of the rates API",
	}
	for _, check := range slices.Concat(catalog.OfAuth.Checks(), catalog.OfMediator.Checks(), catalog.OfRates.Checks()) {
		if _, ok := calls[check]; ok == (elsewhere[check] != "") {
			t.Errorf("say of the check %q where it is missed, once", check)
		}
	}
	for _, stage := range firstAndLast(t, func(p catalog.Policies) bool { return p.Auth.Issuer == catalog.MediatorIssuer }) {
		for check, call := range calls {
			t.Run(stage.Slug+"/"+string(check), func(t *testing.T) {
				t.Parallel()
				isMissed(t, stage.Slug, check, call)
			})
		}
	}
}

// The API looks at client integrity tokens as well, so a mediator that does not is found out by what is
// asked of it alone.
func TestTheMediatorsOwnLookAtTheAppIsMissed(t *testing.T) {
	if testing.Short() {
		t.Skip("as heavy as the matrix")
	}
	t.Parallel()
	for _, stage := range firstAndLast(t, func(p catalog.Policies) bool {
		return p.Call.ClientAuth == catalog.Mediated || p.Call.ClientAuth == catalog.ByIntegrity
	}) {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			l, err := lab.Start(t.Context(), lab.Options{Mediator: catalog.All().WithoutCheck(stage.Slug, catalog.CheckIntegrity)})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			run, err := manage.Post[manage.Run](t.Context(), l.Station, "/genuine", map[string]any{"stage": stage.Slug, "reference": "missed", "strictly": true})
			if err != nil {
				t.Fatal(err)
			}
			missed := []string{"a token request without a client integrity token", "a token request with the client integrity token of a failed attestation"}
			if stage.Auth.Requests == catalog.PushedRequests {
				missed = append(missed, "a pushed request without a client integrity token", "a pushed request with the client integrity token of a failed attestation")
			}
			for _, call := range run.Calls {
				told := slices.Contains(missed, call.What)
				missed = slices.DeleteFunc(missed, func(what string) bool { return what == call.What })
				if told && call.OK {
					t.Errorf("%s: it is as it should be, by %q", call.What, call.Check)
				}
			}
			if len(missed) > 0 {
				t.Errorf("not made: %q", missed)
			}
		})
	}
}
