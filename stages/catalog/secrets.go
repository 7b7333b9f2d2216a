package catalog

import "slices"

// Place is where somebody can find a secret.
type Place string

// The places, those first that are easiest to get at.
const (
	OnNetwork     Place = "network"
	InPackage     Place = "package"
	InPieces      Place = "package-in-pieces"
	InUserAgent   Place = "user-agent"
	InCalls       Place = "calls"
	InStorage     Place = "storage"
	InMemory      Place = "memory"
	InHardware    Place = "hardware"
	AtAPI         Place = "api"
	AtAuth        Place = "auth"
	AtAttestation Place = "attestation"
	AtMediator    Place = "mediator"
)

// places are all of them, with the words in which people read them, and the letter that stands for
// them where there is no room for words; none: it is a server's.
var places = []struct {
	place         Place
	letter, words string
}{
	{OnNetwork, "N", "on the network and in access logs, for everybody to read"},
	{InPackage, "P", "in each copy of the app's package"},
	{InPieces, "p", "in each copy of the app's package, in pieces"},
	{InUserAgent, "U", "in the user agent"},
	{InCalls, "C", "in calls, for those to read who are where TLS ends"},
	{InStorage, "S", "in the app's storage, and in each copy of it"},
	{InMemory, "M", "in the memory of the running app"},
	{InHardware, "H", "in the device's secure hardware, which never gives it away"},
	{AtAPI, "", "at the API"},
	{AtAuth, "", "at the authorization server"},
	{AtAttestation, "", "at the attestation service"},
	{AtMediator, "", "at the mediator"},
}

// Places are all places, those first that are easiest to get at.
func Places() []Place {
	all := make([]Place, len(places))
	for i, p := range places {
		all[i] = p.place
	}
	return all
}

// Words are those in which people read it.
func (p Place) Words() string {
	for _, known := range places {
		if known.place == p {
			return known.words
		}
	}
	return string(p)
}

// Letter stands for it where there is no room for words; empty: it is a server.
func (p Place) Letter() string {
	for _, known := range places {
		if known.place == p {
			return known.letter
		}
	}
	return ""
}

// Secret is something by whose holder somebody is recognised, or that makes such a thing.
type Secret struct {
	Name string

	at    func(Policies) []Place
	token bool // it can be bound to a device's key
}

// Bound says whether it is worth nothing without the key of a device.
func (s Secret) Bound(p Policies) bool { return s.token && p.Call.Binding == TokenOfKey }

// At are the places where it is under these policies, easiest first; none: there is no such secret.
// Where servers keep no more than a hash of it, they count as well.
func (s Secret) At(p Policies) []Place {
	found := s.at(p)
	return slices.DeleteFunc(Places(), func(place Place) bool { return !slices.Contains(found, place) })
}

// AllSecrets are all secrets, in the order in which stages bring them.
func AllSecrets() []Secret { return slices.Clone(secrets) }

// secrets say where each is, by the policies alone: the ladder's stages have theirs from here.
var secrets = []Secret{
	{Name: "the app's ID, as its key", at: func(p Policies) []Place {
		switch {
		case p.Call.AppProof != AppKey:
			return nil
		case p.Call.Transport == PlainHTTP:
			return []Place{InPackage, OnNetwork, InCalls, AtAPI}
		}
		return []Place{InPackage, InCalls, AtAPI}
	}},
	{Name: "the app's TLS key", at: func(p Policies) []Place {
		return where(p.Call.Transport == MutualTLS, p.shipped()...)
	}},
	{Name: "the app's Hawk secret", at: func(p Policies) []Place {
		return where(p.Call.AppProof == Hawk && p.Call.ClientAuth != ClientSecret, append(p.shipped(), AtAPI)...)
	}},
	{Name: "a user's password", at: func(p Policies) []Place {
		switch {
		case p.Call.UserProof == NoUser:
			return nil
		case p.Call.Grant.InAgent():
			return []Place{InUserAgent, AtAuth}
		}
		return []Place{InMemory, AtAPI}
	}},
	{Name: "a session key", at: func(p Policies) []Place {
		return where(p.Call.UserProof == UserSession, InMemory, InCalls, p.userKey(), AtAPI)
	}},
	{Name: "an access token", token: true, at: func(p Policies) []Place {
		if p.Call.Grant == ImplicitGrant {
			return []Place{InUserAgent, InMemory, InCalls}
		}
		return where(p.Call.UserProof == AccessToken, InMemory, InCalls)
	}},
	{Name: "the key of access tokens", at: func(p Policies) []Place {
		return where(p.Call.UserProof == AccessToken, p.issuer(), p.gate())
	}},
	{Name: "a code", at: func(p Policies) []Place {
		return where(p.Call.Grant.HasCode(), InUserAgent, p.issuer())
	}},
	{Name: "the app's client secret", at: func(p Policies) []Place {
		switch {
		case p.Call.ClientAuth == ClientSecret && p.Call.AppProof == Hawk:
			return append(p.shipped(), AtAuth, AtAPI)
		case p.Call.ClientAuth == ClientSecret:
			return append(p.shipped(), AtAuth)
		}
		return where(p.Call.ClientAuth.Attested(), AtAuth, AtMediator)
	}},
	{Name: "a refresh token", token: true, at: func(p Policies) []Place {
		return where(p.Call.Grant == CodeAndRefresh, p.userKey(), p.issuer())
	}},
	{Name: "a client integrity token", token: true, at: func(p Policies) []Place {
		return where(p.Call.AppProof == IntegrityToken, InMemory, InCalls)
	}},
	{Name: "the key of integrity tokens", at: func(p Policies) []Place {
		if p.Call.AppProof != IntegrityToken {
			return nil
		}
		return append(where(p.Call.ClientAuth.Attested(), AtMediator), AtAttestation, AtAuth, p.gate())
	}},
	{Name: "a PKCE verifier", at: func(p Policies) []Place {
		switch p.Call.PKCE {
		case PlainPKCE: // it is its own challenge
			return []Place{InUserAgent, InMemory}
		case S256PKCE:
			return []Place{InMemory}
		}
		return nil
	}},
	{Name: "providers' tokens", at: func(p Policies) []Place {
		return where(p.Auth.Issuer == MediatorIssuer, AtMediator)
	}},
	{Name: "the key of forwarded calls", at: func(p Policies) []Place {
		return where(p.Call.Gateway == ThroughGateway, AtMediator, AtAPI)
	}},
	{Name: "the key to market rates", at: func(p Policies) []Place {
		return where(p.Call.Gateway == ThroughGateway, AtMediator)
	}},
	{Name: "the app's device key", at: func(p Policies) []Place {
		return where(p.Call.Binding == TokenOfKey, InHardware)
	}},
	{Name: "the key of client attestations", at: func(p Policies) []Place {
		return where(p.Call.ClientAuth == ByAttestation, AtAttestation)
	}},
	{Name: "the key of signed answers", at: func(p Policies) []Place {
		return where(p.Call.Sender == SignedMessages, p.gate())
	}},
}

// where are places, if something is there at all.
func where(is bool, at ...Place) []Place {
	if !is {
		return nil
	}
	return at
}

// shipped is where the app has what it is shipped with: what is in pieces is whole in its memory.
func (p Policies) shipped() []Place {
	switch p.Package.Secrets {
	case ClearSecrets:
		return []Place{InPackage}
	case HiddenSecrets:
		return []Place{InPieces, InMemory}
	}
	return nil
}

// userKey is where the app keeps what stands for its user.
func (p Policies) userKey() Place {
	if p.Call.UserKey == UserKeyInStorage {
		return InStorage
	}
	return InMemory
}

// issuer is who issues access tokens.
func (p Policies) issuer() Place {
	switch p.Auth.Issuer {
	case ResourceServer:
		return AtAPI
	case MediatorIssuer:
		return AtMediator
	}
	return AtAuth
}

// gate is who looks at the tokens of calls.
func (p Policies) gate() Place {
	if p.Call.Gateway == ThroughGateway {
		return AtMediator
	}
	return AtAPI
}
