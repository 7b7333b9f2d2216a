package lab_test

import (
	"strings"
	"testing"

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
		catalog.CheckPushed:       "a pushed request with a reference to another",
		catalog.CheckProvider:     "a provider's answer that nobody waits for",
		catalog.CheckSignIn:       "a sign-in on the page with a wrong password",
		catalog.CheckCode:         "a token request with a code that was used",
		catalog.CheckRefresh:      "a token request with a refresh token that was used",
		catalog.CheckFamilyDevice: "a token request with a code, on another device",
	}
	for _, stage := range catalog.All().Built() {
		if stage.Auth.Issuer != catalog.MediatorIssuer {
			continue
		}
		for check, call := range calls {
			t.Run(stage.Slug+"/"+string(check), func(t *testing.T) {
				t.Parallel()
				genuine, err := lab.Genuine(t.Context(), catalog.All().WithoutCheck(stage.Slug, check), stage.Slug)
				if err != nil {
					t.Fatal(err)
				}
				if genuine.OK || !strings.HasPrefix(genuine.Reason, call+": ") {
					t.Errorf("ok %v, %q", genuine.OK, genuine.Reason)
				}
			})
		}
	}
}
