package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/pin"
)

// plan is what the app does at a stage.
type plan struct {
	base        string           // URL of the API at the stage
	key         string           // shown with every call; empty: none
	keyInURL    bool             // where that is still accepted, rates are fetched the old way
	certificate *tls.Certificate // shown to the server; nil: none
	pins        pin.Set          // nil: the device's trust store alone decides
}

// errPolicy means that the app does not know how to do what a stage demands.
var errPolicy = errors.New("this release of the app does not know how to")

// newPlan turns a stage's policy into a plan. Every field has to be one that this
// release knows, the server's business included: a value that is new to the app may
// mean that it should do something that it does not.
func newPlan(settings *release.Settings, stage string) (*plan, error) {
	policy, ok := settings.Stages[stage]
	if !ok {
		return nil, fmt.Errorf("%w do anything at the stage %q", errPolicy, stage)
	}
	if missing := policy.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("%w: the stage %q leaves open: %s", errPolicy, stage, strings.Join(missing, ", "))
	}
	p := &plan{}
	for _, part := range []func(*release.Settings, catalog.Policy) error{
		p.transport, p.proof, p.serverPins, p.serversOwn,
	} {
		if err := part(settings, policy); err != nil {
			return nil, err
		}
	}
	p.base += "/" + stage
	return p, nil
}

func (p *plan) transport(settings *release.Settings, policy catalog.Policy) (err error) {
	switch policy.Transport {
	case catalog.PlainHTTP:
		p.base, err = base(settings.APIPlain, "http")
	case catalog.TLS:
		p.base, err = base(settings.APITLS, "https")
	case catalog.MutualTLS:
		if p.base, err = base(settings.APITLS, "https"); err != nil {
			return err
		}
		pair, err := clientcert.Load([]byte(settings.ClientCertificate), []byte(settings.ClientKey))
		if err != nil {
			return err
		}
		p.certificate = &pair
	default:
		return unknown("transport", policy.Transport)
	}
	return err
}

func base(address, scheme string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != scheme || u.Host == "" {
		return "", fmt.Errorf("the package's address of the API, %q, is not an %s URL", address, scheme)
	}
	return strings.TrimSuffix(address, "/"), nil
}

func (p *plan) proof(settings *release.Settings, policy catalog.Policy) error {
	switch policy.AppProof {
	case catalog.AppKey:
		p.key = settings.ClientID
		if p.key == "" {
			return errors.New("the package has no client ID")
		}
	case catalog.NoAppProof:
	default:
		return unknown("app proof", policy.AppProof)
	}
	switch policy.KeyInURL {
	case catalog.KeyInURLAccepted:
		p.keyInURL = true
	case catalog.KeyInURLRefused:
	default:
		return unknown("key in URLs", policy.KeyInURL)
	}
	return nil
}

func (p *plan) serverPins(settings *release.Settings, policy catalog.Policy) (err error) {
	switch policy.Pins {
	case catalog.Pinned:
		if policy.Transport == catalog.PlainHTTP {
			return fmt.Errorf("%w pin a server without TLS", errPolicy)
		}
		if p.pins, err = pin.ParseSet(settings.ServerPins); err != nil {
			return fmt.Errorf("the package's pins can't be used: %w", err)
		}
	case catalog.NotPinned:
	default:
		return unknown("pins", policy.Pins)
	}
	return nil
}

// serversOwn looks at what this release's app has nothing to do for.
func (p *plan) serversOwn(_ *release.Settings, policy catalog.Policy) error {
	switch policy.UserAgents {
	case catalog.RegisteredUserAgents, catalog.AnyUserAgent:
	default:
		return unknown("user agents", policy.UserAgents)
	}
	switch policy.RateLimits {
	case catalog.LimitedRates, catalog.UnlimitedRates:
	default:
		return unknown("rate limits", policy.RateLimits)
	}
	switch policy.UserProof {
	case catalog.NoUser:
	default:
		return unknown("user proof", policy.UserProof)
	}
	switch policy.Binding {
	case catalog.NotBound:
	default:
		return unknown("binding", policy.Binding)
	}
	switch policy.Authorization {
	case catalog.AppScopes, catalog.NotAuthorized:
	default:
		return unknown("authorization", policy.Authorization)
	}
	return nil
}

func unknown[T ~string](field string, value T) error {
	return fmt.Errorf("%w: %s %q", errPolicy, field, string(value))
}
