package release

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
)

// SettingsFile is the asset that holds the [Settings], but for what is hidden.
const SettingsFile = "settings.json"

// Errors of reading and bundling settings.
var (
	// ErrSecrets means that secrets are not, or would not be, carried as they should.
	ErrSecrets = errors.New("the package does not carry its secrets as it should")
	// ErrSettings means that the settings can't be read.
	ErrSettings = errors.New("the package's settings can't be read")
)

// Settings is what the genuine app is shipped with. How they are written down, and under
// which names, depends on the way in which the package carries its secrets. The names are
// not here, because a program contains what stands in its types.
type Settings struct {
	App               string                  // what the bank has registered it as: harbour-mobile
	ClientID          string                  // what it shows with its calls: a key of that app, at first of the same name
	SharedSecret      string                  // that calls are signed with, before there are access tokens
	ClientSecret      string                  // of OAuth
	ClientCertificate string                  // PEM
	ClientKey         string                  // PEM, PKCS #8
	ServerPins        []string                // as in stages/mechanism/pin
	AnswerKeys        []jwk.Key               // with which the API signs its answers, where it does
	APIPlain          string                  // URL without a path
	APITLS            string                  // URL without a path
	AuthServer        string                  // URL without a path, of the authorization server
	Attestation       string                  // URL without a path, of the attestation service
	Mediator          string                  // URL without a path
	Lite              string                  // URL without a path, of another company's authorization server
	Developer         ed25519.PublicKey       // whose signature the package has to have
	TransferCap       int64                   // minor units: the app transfers no more at once
	Log               string                  // what the app logs: see [LogCalls]
	Stages            map[string]catalog.Call // how to call, by the stage's slug
}

// Secret is the one that the app proves with at a stage that it is this app: the client secret
// where the authorization server asks for one, the one for signing calls before that.
func (s *Settings) Secret(policy catalog.Call) string {
	if policy.ClientAuth == catalog.ClientSecret {
		return s.ClientSecret
	}
	return s.SharedSecret
}

// The levels of an app's log, which the device keeps. An app never logs less than calls.
const (
	LogCalls      = "calls"      // method, path and status
	LogEverything = "everything" // whole URLs and header fields, with all that opens something
)

// inClear is what the settings look like where the package carries its secrets in the
// clear: under the names that developers give to constants.
type inClear struct {
	App               string                  `json:"APP"`
	ClientID          string                  `json:"CLIENT_ID"`
	SharedSecret      string                  `json:"SHARED_SECRET"`
	ClientSecret      string                  `json:"CLIENT_SECRET"`
	ClientCertificate string                  `json:"TLS_CLIENT_CERTIFICATE"`
	ClientKey         string                  `json:"TLS_CLIENT_KEY"`
	ServerPins        []string                `json:"SERVER_PINS"`
	AnswerKeys        []jwk.Key               `json:"ANSWER_KEYS"`
	APIPlain          string                  `json:"API_PLAIN"`
	APITLS            string                  `json:"API_TLS"`
	AuthServer        string                  `json:"AUTH_SERVER"`
	Attestation       string                  `json:"ATTESTATION_SERVICE"`
	Mediator          string                  `json:"MEDIATOR"`
	Lite              string                  `json:"LITE"`
	Developer         ed25519.PublicKey       `json:"DEVELOPER_KEY"`
	TransferCap       int64                   `json:"TRANSFER_CAP"`
	Log               string                  `json:"LOG"`
	Stages            map[string]catalog.Call `json:"STAGES"`
}

// BundleClear makes the assets of a package that carries everything in the clear.
func BundleClear(settings Settings) (map[string][]byte, error) {
	return BundleSettings(inClear(settings))
}

// UnbundleClear reads the settings out of such a package's assets, as the app does when
// it starts.
//
// It is the app's; a test makes sure that no attack calls it.
func UnbundleClear(assets map[string][]byte) (*Settings, error) {
	var read inClear
	if err := UnbundleSettings(assets, &read); err != nil {
		return nil, err
	}
	settings := Settings(read)
	return &settings, nil
}

// withoutSecrets is what the settings look like where there are no secrets to carry. A program that
// reads them in this form knows none by name.
type withoutSecrets struct {
	App         string                  `json:"APP"`
	ClientID    string                  `json:"CLIENT_ID"`
	ServerPins  []string                `json:"SERVER_PINS"`
	AnswerKeys  []jwk.Key               `json:"ANSWER_KEYS"`
	APIPlain    string                  `json:"API_PLAIN"`
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

// BundleNoSecrets makes the assets of a package that carries none. Its error is [ErrSecrets] where
// the settings have one. Pins are no secrets: whoever replaces them has another package.
func BundleNoSecrets(s Settings) (map[string][]byte, error) {
	if s.SharedSecret != "" || s.ClientSecret != "" || s.ClientCertificate != "" || s.ClientKey != "" {
		return nil, fmt.Errorf("%w: it would carry one, and is to carry none", ErrSecrets)
	}
	return BundleSettings(withoutSecrets{
		App: s.App, ClientID: s.ClientID, ServerPins: s.ServerPins, AnswerKeys: s.AnswerKeys, APIPlain: s.APIPlain, APITLS: s.APITLS, AuthServer: s.AuthServer,
		Attestation: s.Attestation, Mediator: s.Mediator, Lite: s.Lite, Developer: s.Developer, TransferCap: s.TransferCap, Log: s.Log, Stages: s.Stages,
	})
}

// UnbundleNoSecrets reads the settings out of such a package's assets, as the app does when it
// starts.
//
// It is the app's; a test makes sure that no attack calls it.
func UnbundleNoSecrets(assets map[string][]byte) (*Settings, error) {
	var p withoutSecrets
	if err := UnbundleSettings(assets, &p); err != nil {
		return nil, err
	}
	return &Settings{
		App: p.App, ClientID: p.ClientID, ServerPins: p.ServerPins, AnswerKeys: p.AnswerKeys, APIPlain: p.APIPlain, APITLS: p.APITLS, AuthServer: p.AuthServer,
		Attestation: p.Attestation, Mediator: p.Mediator, Lite: p.Lite, Developer: p.Developer, TransferCap: p.TransferCap, Log: p.Log, Stages: p.Stages,
	}, nil
}

// BundleSettings makes [SettingsFile], in the form that the value has.
func BundleSettings(form any) (map[string][]byte, error) {
	data, err := json.MarshalIndent(form, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the settings: %w", err)
	}
	return map[string][]byte{SettingsFile: data}, nil
}

// UnbundleSettings reads [SettingsFile] into the form, which has to have a place for
// everything in it. Its error is [ErrSettings].
func UnbundleSettings(assets map[string][]byte, form any) error {
	data, ok := assets[SettingsFile]
	if !ok {
		return fmt.Errorf("%w: there is no %s", ErrSettings, SettingsFile)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(form); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	return nil
}
