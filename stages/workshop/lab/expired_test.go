package lab_test

import (
	"net/http"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
)

// TestExpiredTokensAreRefused where they live for some seconds, so that somebody can wait for their end,
// and so are references to requests that were pushed; the genuine app works all the same.
func TestExpiredTokensAreRefused(t *testing.T) {
	t.Parallel()
	for _, stage := range attestedStages() {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			l := start(t, lab.Options{Settings: map[string]string{"integrity_lifetime": "4s", "token_lifetime_short": "10s", "pushed_lifetime": "9s"}})
			run, err := manage.Post[manage.Run](t.Context(), l.Station, "/genuine", map[string]any{"stage": stage.Slug, "reference": "expired", "strictly": true})
			if err != nil {
				t.Fatal(err)
			}
			by, refused := refusals(t, l), map[string]bool{}
			for _, call := range run.Calls {
				if !call.OK {
					t.Errorf("%s: %s", call.What, call.Error)
				}
				refused[call.What] = call.Status >= http.StatusBadRequest && call.Check != "" && by[call.Exchange] == call.Check
			}
			// Each token is missing, failing, expired, of another stage and of another kind, at each
			// server that looks at it.
			wrong := []string{
				"rates without a client integrity token",
				"rates with the client integrity token of a failed attestation",
				"rates with a client integrity token that has expired",
				"rates with the client integrity token of another stage",
				"rates with an access token in the place of the client integrity token",
				"accounts without an access token",
				"accounts with a token that says more than its issuer signed",
				"accounts with an access token that has expired",
				"accounts with the access token of another stage",
				"accounts with a client integrity token in the place of the access token",
			}
			byAttestation := stage.Call.ClientAuth == catalog.ByAttestation
			if byAttestation {
				wrong = append(wrong,
					"a token request without a client attestation",
					"a token request with the client attestation of a failed attestation",
					"a token request with a client attestation that has expired",
					"a token request with a client integrity token in the place of the client attestation",
					"a pushed request without a client attestation",
					"a pushed request with the client attestation of a failed attestation")
			} else if stage.Call.ClientAuth.Attested() {
				wrong = append(wrong,
					"a token request without a client integrity token",
					"a token request with the client integrity token of a failed attestation",
					"a token request with a client integrity token that has expired",
					"a token request with the client integrity token of another stage",
					"a token request with an access token in the place of the client integrity token")
			}
			if stage.Auth.Requests == catalog.PushedRequests {
				wrong = append(wrong, "an authorization request with a reference that has expired")
				if !byAttestation {
					wrong = append(wrong,
						"a pushed request without a client integrity token",
						"a pushed request with the client integrity token of a failed attestation",
						"a pushed request with a client integrity token that has expired")
				}
			}
			for _, what := range wrong {
				if !refused[what] {
					t.Errorf("%s: the check that is meant for it has not refused it", what)
				}
			}
		})
	}
}

// refusals are the checks that have refused requests at the API and the mediator, by exchange.
func refusals(t *testing.T, l *lab.Lab) map[string]catalog.Check {
	t.Helper()
	admin, err := deployment.Open(l.Dir, deployment.Admin)
	if err != nil {
		t.Fatal(err)
	}
	mediator, err := manage.NewClient(admin, deployment.Mediator)
	if err != nil {
		t.Fatal(err)
	}
	defer mediator.Close()
	by := map[string]catalog.Check{}
	for _, server := range []*manage.Client{l.Resource, mediator} {
		page, err := server.Traffic(t.Context(), feed.Cursor{})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Entries {
			if m.Verdict != nil && !m.Verdict.Allowed {
				by[m.Exchange] = m.Verdict.Check
			}
		}
	}
	return by
}
