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
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/mechanism/sealed"
)

// plan is what the app does at a stage.
type plan struct {
	stage       string
	agent       string           // product token of the User-Agent field
	base        string           // URL of the API at the stage
	key         string           // shown with every call; empty: none
	keyInURL    bool             // where that is still accepted, rates are fetched the old way
	certificate *tls.Certificate // shown to the server; nil: none
	pins        pin.Set          // nil: the device's trust store alone decides
	hawk        *hawk.Client     // signs calls and checks answers; nil: neither
	seals       *sealed.Keys     // for bodies; nil: they go as they are
	devices     bool             // the installation registers, and says which one it is
	users       bool             // people sign in
	signsCaller bool             // the signature covers who the user and the device are
}

// agents are what the bank's apps call themselves, by client ID: one program, packed
// as different apps.
var agents = map[string]string{
	"harbour-mobile": "HarbourBank",
	"harbour-ops":    "HarbourOps",
}

// errPolicy means that the app does not know how to do what a stage demands.
var errPolicy = errors.New("this release of the app does not know how to")

// newPlan turns a stage's call policy into a plan. Every value has to be one that this
// release knows: one that is new to the app may mean that it should do something that it
// does not.
func newPlan(settings *release.Settings, stage string) (*plan, error) {
	policy, ok := settings.Stages[stage]
	if !ok {
		return nil, fmt.Errorf("%w do anything at the stage %q", errPolicy, stage)
	}
	if missing := policy.Undecided(); len(missing) > 0 {
		return nil, fmt.Errorf("%w: the stage %q leaves open: %s", errPolicy, stage, strings.Join(missing, ", "))
	}
	if wrong := append(policy.Unknown(), policy.Contradictions()...); len(wrong) > 0 {
		return nil, fmt.Errorf("%w do what the stage %q says: %s", errPolicy, stage, strings.Join(wrong, ", "))
	}
	p := &plan{stage: stage, agent: agents[settings.ClientID]}
	if p.agent == "" {
		return nil, fmt.Errorf("%w be the app with the client ID %q", errPolicy, settings.ClientID)
	}
	for _, part := range []func(*release.Settings, catalog.Call) error{
		p.transport, p.proof, p.serverPins, p.bodies, p.device, p.user, p.binding, p.nonces,
	} {
		if err := part(settings, policy); err != nil {
			return nil, err
		}
	}
	p.base += "/" + stage
	return p, nil
}

func (p *plan) transport(settings *release.Settings, policy catalog.Call) (err error) {
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

func (p *plan) proof(settings *release.Settings, policy catalog.Call) (err error) {
	switch policy.AppProof {
	case catalog.AppKey:
		p.key = settings.ClientID
	case catalog.Hawk:
		if p.hawk, err = signer(settings, p.base); err != nil {
			return err
		}
	case catalog.NoAppProof:
	default:
		return unknown("app proof", policy.AppProof)
	}
	switch policy.KeyPlace {
	case catalog.NoKeySent, catalog.KeyInField:
	case catalog.KeyInPublicURLs:
		p.keyInURL = true
	default:
		return unknown("place of the key", policy.KeyPlace)
	}
	return nil
}

// signer signs for the server of the app's settings, whatever the name and port are
// under which a proxy knows it.
func signer(settings *release.Settings, base string) (*hawk.Client, error) {
	if settings.SharedSecret == "" {
		return nil, errors.New("the package has no shared secret")
	}
	return hawk.NewClient(hawk.Credentials{ID: settings.ClientID, Key: settings.SharedSecret}, base)
}

func (p *plan) serverPins(settings *release.Settings, policy catalog.Call) (err error) {
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

func (p *plan) bodies(settings *release.Settings, policy catalog.Call) error {
	switch policy.Bodies {
	case catalog.PlainBodies:
		return nil
	case catalog.SealedBodies:
	default:
		return unknown("bodies", policy.Bodies)
	}
	if p.hawk == nil { // encrypted is not yet authentic: a body would fit any call
		return fmt.Errorf("%w seal bodies without signing them", errPolicy)
	}
	keys, err := sealed.DeriveKeys(settings.SharedSecret)
	if err != nil {
		return err
	}
	p.seals = &keys
	return nil
}

func (p *plan) device(_ *release.Settings, policy catalog.Call) error {
	switch policy.Devices {
	case catalog.NoDevices:
	case catalog.RegisteredDevices:
		p.devices = true
	default:
		return unknown("devices", policy.Devices)
	}
	return nil
}

func (p *plan) user(_ *release.Settings, policy catalog.Call) error {
	switch policy.UserProof {
	case catalog.NoUser:
		return nil
	case catalog.UserSession:
	default:
		return unknown("user proof", policy.UserProof)
	}
	if p.hawk == nil || policy.Transport == catalog.PlainHTTP {
		return fmt.Errorf("%w sign users in without TLS and signatures", errPolicy)
	}
	p.users = true
	p.hawk.Field = policy.AppProofField()
	return nil
}

func (p *plan) binding(_ *release.Settings, policy catalog.Call) error {
	switch policy.Binding {
	case catalog.NotBound, catalog.SessionOfApp, catalog.SessionOfDevice:
		return nil
	case catalog.SessionOfCall:
	default:
		return unknown("binding", policy.Binding)
	}
	if p.hawk == nil {
		return fmt.Errorf("%w bind calls to users without signing them", errPolicy)
	}
	p.signsCaller = true
	return nil
}

// nonces are made with the signature, whatever becomes of them.
func (p *plan) nonces(_ *release.Settings, policy catalog.Call) error {
	switch policy.Nonces {
	case catalog.NoNonces, catalog.NoncesForgotten, catalog.NoncesRemembered:
		return nil
	default:
		return unknown("nonces", policy.Nonces)
	}
}

func unknown[T ~string](field string, value T) error {
	return fmt.Errorf("%w: %s %q", errPolicy, field, string(value))
}
