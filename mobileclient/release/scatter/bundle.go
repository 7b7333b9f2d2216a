package scatter

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
)

// public are the settings that are not hidden.
type public struct {
	App         string                  `json:"APP"`
	ClientID    string                  `json:"CLIENT_ID"`
	APIPlain    string                  `json:"API_PLAIN"`
	AnswerKeys  []jwk.Key               `json:"ANSWER_KEYS"`
	APITLS      string                  `json:"API_TLS"`
	AuthServer  string                  `json:"AUTH_SERVER"`
	Attestation string                  `json:"ATTESTATION_SERVICE"`
	Mediator    string                  `json:"MEDIATOR"`
	Lite        string                  `json:"LITE"`
	Developer   ed25519.PublicKey       `json:"DEVELOPER_KEY"`
	TransferCap int64                   `json:"TRANSFER_CAP"`
	Log         string                  `json:"LOG"`
	Stages      map[string]catalog.Call `json:"STAGES"`
}

// unnamed is how many secrets there are beside the pins: shared secret, certificate and
// key, and client secret, in this order. They have no names, neither in the package nor in the program.
const unnamed = 4

// Bundle makes the assets of a package that hides its secrets. Pins are no secrets, but
// whoever finds them can replace them, so they are hidden as well.
func Bundle(s release.Settings) (map[string][]byte, error) {
	hidden, err := json.Marshal(append([]string{s.SharedSecret, s.ClientCertificate, s.ClientKey, s.ClientSecret}, s.ServerPins...))
	if err != nil {
		return nil, fmt.Errorf("hide the secrets: %w", err)
	}
	assets, err := Hide(hidden, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("hide the secrets: %w", err)
	}
	settings, err := release.BundleSettings(public{
		App: s.App, ClientID: s.ClientID, AnswerKeys: s.AnswerKeys, APIPlain: s.APIPlain, APITLS: s.APITLS, AuthServer: s.AuthServer,
		Attestation: s.Attestation, Mediator: s.Mediator, Lite: s.Lite, Developer: s.Developer, TransferCap: s.TransferCap, Log: s.Log, Stages: s.Stages,
	})
	maps.Copy(assets, settings)
	return assets, err
}

// Unbundle reads the settings out of such a package's assets, as the app does when it
// starts, and puts together in memory what is hidden. Secrets in the clear are refused,
// or whoever repacks the app could add their own.
//
// It is the app's; a test makes sure that no attack calls it.
func Unbundle(assets map[string][]byte) (*release.Settings, error) {
	var p public
	if err := release.UnbundleSettings(assets, &p); err != nil {
		return nil, err
	}
	s := &release.Settings{
		App: p.App, ClientID: p.ClientID, AnswerKeys: p.AnswerKeys, APIPlain: p.APIPlain, APITLS: p.APITLS, AuthServer: p.AuthServer,
		Attestation: p.Attestation, Mediator: p.Mediator, Lite: p.Lite, Developer: p.Developer, TransferCap: p.TransferCap, Log: p.Log, Stages: p.Stages,
	}
	// The policies are in the clear, and the pins are hidden so that nobody gets around them.
	for slug, policy := range s.Stages {
		if policy.Pins != catalog.Pinned {
			return nil, fmt.Errorf("%w: pins are hidden, and the stage %s does not look at them", release.ErrSecrets, slug)
		}
	}
	gathered, err := Gather(assets)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", release.ErrSettings, err)
	}
	var hidden []string
	if err = json.Unmarshal(gathered, &hidden); err == nil && len(hidden) < unnamed {
		err = errors.New("something is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: what was hidden: %w", release.ErrSettings, err)
	}
	s.SharedSecret, s.ClientCertificate, s.ClientKey, s.ClientSecret, s.ServerPins = hidden[0], hidden[1], hidden[2], hidden[3], hidden[unnamed:]
	return s, nil
}
