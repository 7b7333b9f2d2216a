package catalog

import "fmt"

// rule is a combination of values that makes no sense.
type rule[P any] struct {
	field  string // that has to give way
	how    string // the values contradict each other
	broken func(P) bool
}

// callRules leave stages alone whose apps prove nothing ([NoAppProof]): where any program
// is let in, nothing that its proof would carry can be asked for.
var callRules = []rule[Call]{
	{"call.pins", "a server without TLS has no key to compare with pins", func(c Call) bool { return c.Pins == Pinned && c.Transport == PlainHTTP }},
	{"call.key_place", "the app proves itself with a key that it sends nowhere", func(c Call) bool { return c.AppProof == AppKey && c.KeyPlace == NoKeySent }},
	{"call.key_place", "the app sends a key, but that is not its proof", func(c Call) bool { return c.AppProof != AppKey && c.AppProof != NoAppProof && c.KeyPlace != NoKeySent }},
	{"call.nonces", "requests are signed, but nothing is said about their nonces", func(c Call) bool { return c.AppProof == Hawk && c.Nonces == NoNonces }},
	{"call.nonces", "nonces are remembered, but requests carry none", func(c Call) bool { return c.unsigned() && c.Nonces == NoncesRemembered }},
	{"call.bodies", "bodies are sealed, but requests are not signed: a sealed body would fit any call", func(c Call) bool { return c.unsigned() && c.Bodies != PlainBodies }},
	{"call.user_proof", "users sign in without TLS", func(c Call) bool { return c.UserProof != NoUser && c.Transport == PlainHTTP }},
	{"call.user_proof", "the app's key and the user's session would go into one field", func(c Call) bool { return c.UserProof == UserSession && c.AppProof == AppKey }},
	{"call.user_key", "the app keeps a user's key, but there are no users", func(c Call) bool { return c.UserKey != NoUserKey && c.UserProof == NoUser }},
	{"call.user_key", "users get a key, and the app has no place for it", func(c Call) bool { return c.UserKey == NoUserKey && c.UserProof != NoUser }},
	{"call.binding", "sessions are bound, but there are none", func(c Call) bool {
		return c.Binding != NotBound && !c.Binding.ForTokens() && c.UserProof != UserSession
	}},
	{"call.binding", "access tokens are bound, but there are none", func(c Call) bool { return c.Binding.ForTokens() && c.UserProof != AccessToken }},
	{"call.binding", "sessions are bound to devices, but calls name none", func(c Call) bool {
		return (c.Binding == SessionOfDevice || c.Binding == SessionOfCall) && c.Devices == NoDevices
	}},
	{"call.binding", "user and device are bound to signed requests, but requests are not signed", func(c Call) bool {
		return (c.Binding == SessionOfCall || c.Binding == TokenOfCall) && c.unsigned()
	}},
	{"call.grant", "calls carry access tokens, and the app has no way to get one", func(c Call) bool { return c.UserProof == AccessToken && c.Grant == NoGrants }},
	{"call.grant", "the app gets access tokens, and calls carry none", func(c Call) bool { return c.UserProof != AccessToken && c.Grant != NoGrants }},
	{"call.client_auth", "the app authenticates to get access tokens, and gets none", func(c Call) bool { return c.ClientAuth != NoClientAuth && c.Grant == NoGrants }},
	{"call.pkce", "codes are bound to something, and there are no codes", func(c Call) bool { return c.PKCE != NoPKCE && !c.Grant.HasCode() }},
	{"call.providers", "users choose on whose page they sign in, and there are no pages", func(c Call) bool { return c.Providers != OneProvider && !c.Grant.InAgent() }},
	{"call.providers", "the app asks several providers, and has a secret to show to one", func(c Call) bool { return c.Providers == ChosenInApp && !c.ClientAuth.Attested() }},
	{"call.gateway", "the gateway looks at client integrity tokens, and calls carry none", func(c Call) bool {
		return c.Gateway == ThroughGateway && c.AppProof != IntegrityToken && c.AppProof != NoAppProof
	}},
	{"call.binding", "access tokens are bound to devices, and nobody says on which device the app is", func(c Call) bool {
		return c.Binding.ToDevice() && c.AppProof != IntegrityToken && c.AppProof != NoAppProof
	}},
	{"call.sender", "tokens are bound to a key, and calls don't prove that the sender has it", func(c Call) bool { return c.Binding == TokenOfKey && c.Sender == AnySender }},
	{"call.sender", "the sender proves that it has a key, and no tokens are bound to one", func(c Call) bool { return c.Binding != TokenOfKey && c.Sender != AnySender && c.Sender != "" }},
}

var stageRules = []rule[Policies]{
	{"api.key_in_url", "the app sends its key in URLs, and the API refuses it there", func(p Policies) bool {
		return p.Call.KeyPlace == KeyInPublicURLs && p.API.KeyInURL == KeyInURLRefused
	}},
	{"api.secret_overlap", "an old secret is good for a while, but the app proves itself without one", func(p Policies) bool {
		overlap, _ := p.API.SecretOverlap.Value()
		return p.Call.AppProof == AppKey && overlap != 0
	}},
	{"api.authorization", "rights are those of app and user, but there is no user", func(p Policies) bool {
		return p.API.Authorization == AppAndUser && p.Call.UserProof == NoUser
	}},
	{"api.authorization", "rights are those of an access token, but there is none", func(p Policies) bool {
		return p.API.Authorization == AppUserToken && p.Call.UserProof != AccessToken
	}},
	{"auth.issuer", "calls carry access tokens, but nobody issues them", func(p Policies) bool {
		return p.Call.UserProof == AccessToken && p.Auth.Issuer == NoIssuer
	}},
	{"auth.issuer", "somebody issues access tokens, but calls carry none", func(p Policies) bool {
		return p.Call.UserProof != AccessToken && p.Auth.Issuer != NoIssuer && p.Auth.Issuer != ""
	}},
	{"auth.grants", "access tokens are issued, but there is no grant to get one by", func(p Policies) bool {
		return p.Auth.Issuer != NoIssuer && p.Auth.Grants == NoGrants
	}},
	{"auth.grants", "the app asks for tokens by a grant that is not offered", func(p Policies) bool {
		return p.Call.Grant != NoGrants && p.Call.Grant != p.Auth.Grants
	}},
	{"auth.grants", "users sign in on a page, and the issuer has none", func(p Policies) bool {
		return p.Auth.Issuer == ResourceServer && p.Auth.Grants.InAgent()
	}},
	{"auth.client_auth", "clients authenticate, and the app does it in another way", func(p Policies) bool {
		return p.Call.Grant != NoGrants && p.Call.ClientAuth != p.Auth.ClientAuth && (p.Call.ClientAuth != Mediated || p.Auth.ClientAuth != ServersSecret)
	}},
	{"auth.client_auth", "a mediator adds the secret, but the app has no client integrity token to show it", func(p Policies) bool {
		return p.Call.ClientAuth == Mediated && p.Call.AppProof != IntegrityToken && p.Call.AppProof != NoAppProof
	}},
	{"attestation.level", "calls carry client integrity tokens, and nobody issues them", func(p Policies) bool {
		return p.Call.AppProof == IntegrityToken && p.Attestation.Level == NotAttested
	}},
	{"attestation.level", "apps are looked at, and nobody asks for what came of it", func(p Policies) bool {
		return p.Call.AppProof != IntegrityToken && p.Call.AppProof != NoAppProof && p.Attestation.Level != NotAttested && p.Attestation.Level != ""
	}},
	{"attestation.executables", "nobody looks at the app, and yet something is found out", func(p Policies) bool {
		a := p.Attestation
		return a.Level == NotAttested && (a.Executables != NotLookedAt || a.Runtime != NotLookedAt || a.Configuration != NotLookedAt || a.Instance != NotLookedAt)
	}},
	{"attestation.runtime", "the app reports nothing about its surroundings", func(p Policies) bool {
		a := p.Attestation
		return a.Level == PackageHash && (a.Runtime != NotLookedAt || a.Configuration != NotLookedAt)
	}},
	{"attestation.level", "tokens are bound to a key, and nobody says which one the app has", func(p Policies) bool {
		return p.Call.Binding == TokenOfKey && p.Attestation.Level != DeviceEvidence
	}},
	{"auth.pkce", "the issuer binds codes to something that the app does not send", func(p Policies) bool {
		return p.Call.Grant != NoGrants && p.Auth.PKCE != p.Call.PKCE
	}},
	{"auth.issuer", "users choose a provider at the mediator, which is not the issuer", func(p Policies) bool {
		return (p.Call.Providers == ChosenAtMediator) != (p.Auth.Issuer == MediatorIssuer)
	}},
	{"auth.token_form", "the API reads the access tokens of the issuer itself, and these say nothing", func(p Policies) bool {
		return p.Auth.Issuer != NoIssuer && p.Auth.TokenForm != JWTs
	}},
	{"auth.rotation", "refresh tokens are offered, and it is not said what becomes of one that is used", func(p Policies) bool {
		return (p.Auth.Grants == CodeAndRefresh) != (p.Auth.Rotation != NotRefreshed)
	}},
	{"auth.requests", "users sign in on a page, and it is not said how requests, redirects and responses are", func(p Policies) bool {
		inAgent := p.Auth.Grants.InAgent()
		return inAgent != (p.Auth.Requests != NoRequests) || inAgent != (p.Auth.Redirects != NoRedirects) || inAgent != (p.Auth.Responses != NoResponses)
	}},
	{"auth.token_life", "access tokens are issued, but have no lifetime", func(p Policies) bool {
		return p.Auth.Issuer != NoIssuer && p.Auth.TokenLife == NoTokens
	}},
	{"auth.revocations", "nothing is said about revoked access tokens", func(p Policies) bool {
		return p.Auth.Issuer != NoIssuer && p.Auth.Revocations == NoRevocations
	}},
	{"package.secrets", "the pins are hidden in the package, and nobody looks at them", func(p Policies) bool {
		return p.Package.Secrets == HiddenSecrets && p.Call.Pins == NotPinned
	}},
}

// unsigned says whether the app proves itself, and not with a signature over the call.
func (c Call) unsigned() bool { return c.AppProof != NoAppProof && !c.AppProof.Signs() }

// Contradictions are the fields whose values go against those of others, each with how.
func (c Call) Contradictions() []string { return contradictions(callRules, c) }

// Contradictions are the fields whose values go against those of others, each with how.
func (p Policies) Contradictions() []string {
	return append(contradictions(callRules, p.Call), contradictions(stageRules, p)...)
}

func contradictions[P any](rules []rule[P], policy P) []string {
	var found []string
	for _, r := range rules {
		if r.broken(policy) {
			found = append(found, fmt.Sprintf("%s: %s", r.field, r.how))
		}
	}
	return found
}
