package mediator

import (
	"net/http"

	"keyladder/backend/guard"
	"keyladder/backend/oauth"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// provider is where a request goes on to, with the secret of the app's there: to the bank's
// authorization server or, where users choose in the app, to the provider that the request names. What
// the app has bound its code to goes on, too; whether that is looked at is the provider's affair.
//
//keyladder:code mediator-provider
func (s *Server) provider(caller guard.Caller, endpoint string, form oauth.Form) (target, error) {
	app, stage := caller.App(), caller.Stage()
	name := form[protect.ProviderParameter]
	delete(form, protect.ProviderParameter)
	if name == "" || name == catalog.Bank {
		key := s.clients.ServersKey(app)
		if key == nil {
			return target{}, notAccepted("servers share no key of %s", app)
		}
		return target{url: s.upstream.base + "/" + stage.Slug + endpoint, client: key.ID, secret: key.Signing(caller.At()).Text(), auth: manage.SecretBasic}, nil
	}
	p, ok := s.providers.Named(name, stage.Slug)
	to := target{url: p.TokenURL, client: app, secret: p.Apps[app], auth: p.ClientAuth}
	if endpoint == "/revoke" {
		to.url = p.RevocationURL
	}
	if stage.Call.Providers != catalog.ChosenInApp || !ok || !p.Enabled || to.secret == "" || to.url == "" {
		return target{}, notAccepted("there is no provider %.80q that knows %s here", name, app)
	}
	return to, nil
}

func notAccepted(reason string, values ...any) error {
	return oauth.Refuse(catalog.CheckClient, problem.New(http.StatusBadRequest, "client-not-accepted", "The client is not accepted", ""), reason, values...)
}
