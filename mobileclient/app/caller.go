package main

import (
	"crypto"
	"errors"
	"fmt"
	"strings"

	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/pin"
	"keyladder/stages/protect"
)

// products are what the bank's apps call themselves in User-Agent, by registration: one program,
// packed as different apps.
var products = map[string]string{
	"harbour-mobile": "HarbourBank",
	"harbour-ops":    "HarbourOps",
}

// errSettings means that the package can't be used at the stage.
var errSettings = errors.New("this release of the app can't be used here")

// newCaller makes the calls of a stage with what the app was shipped with. It fails where
// this release does not know how to do all that the stage demands, or does not have what that
// takes: the app never does less. Key is the app's in the device's secure hardware, and asked where the
// stage binds tokens to it.
func newCaller(settings *release.Settings, number int, stage string, key func() (crypto.Signer, error)) (*protect.Caller, error) {
	policy, ok := settings.Stages[stage]
	if !ok {
		return nil, fmt.Errorf("%w: it knows no stage %q", errSettings, stage)
	}
	identity, err := shippedIdentity(settings, number, policy)
	if err != nil {
		return nil, err
	}
	if policy.Binding == catalog.TokenOfKey {
		if identity.Key, err = key(); err != nil {
			return nil, err
		}
	}
	api := protect.API{
		Stage: stage, Plain: settings.APIPlain, TLS: settings.APITLS, Auth: settings.AuthServer,
		Attestation: settings.Attestation, Mediator: settings.Mediator, Lite: settings.Lite, Answers: settings.AnswerKeys,
	}
	caller, err := protect.New(policy, api, identity)
	if err != nil {
		return nil, err
	}
	if lacks := caller.Lacks(); len(lacks) > 0 {
		return nil, fmt.Errorf("%w: the package lacks %s", errSettings, strings.Join(lacks, ", "))
	}
	return caller, nil
}

// shippedIdentity is who the app is, as far as that is in its package. The installation
// and the session come later.
func shippedIdentity(settings *release.Settings, number int, policy catalog.Call) (protect.Identity, error) {
	identity := protect.Identity{ClientID: settings.ClientID, Secret: settings.Secret(policy)}
	product := products[settings.App]
	if product == "" {
		return identity, fmt.Errorf("%w: it is not the app %q", errSettings, settings.App)
	}
	identity.UserAgent = fmt.Sprintf("%s/%d.0", product, number)
	if settings.ClientCertificate != "" {
		pair, err := clientcert.Load([]byte(settings.ClientCertificate), []byte(settings.ClientKey))
		if err != nil {
			return identity, err
		}
		identity.Certificate = &pair
	}
	if len(settings.ServerPins) > 0 {
		pins, err := pin.ParseSet(settings.ServerPins)
		if err != nil {
			return identity, fmt.Errorf("the package's pins can't be used: %w", err)
		}
		identity.Pins = pins
	}
	return identity, nil
}
