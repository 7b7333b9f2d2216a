package release

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
)

// Errors of [Bundle] and [Unbundle].
var (
	// ErrSecrets means that a package would carry, or carries, its secrets in another way
	// than its stages demand.
	ErrSecrets = errors.New("the package does not carry its secrets as its stages demand")
	// ErrSettings means that the settings can't be read.
	ErrSettings = errors.New("the package's settings can't be read")
)

// secrets are the settings that are worth hiding. Pins are no secrets, but whoever finds
// them can replace them. In the package they have no names.
type secrets struct {
	SharedSecret      string
	ClientCertificate string
	ClientKey         string
	ServerPins        []string
}

func secretsOf(s *Settings) secrets {
	return secrets{s.SharedSecret, s.ClientCertificate, s.ClientKey, s.ServerPins}
}

func (s secrets) into(settings *Settings) {
	settings.SharedSecret, settings.ClientCertificate = s.SharedSecret, s.ClientCertificate
	settings.ClientKey, settings.ServerPins = s.ClientKey, s.ServerPins
}

func (s secrets) none() bool {
	return s.SharedSecret == "" && s.ClientCertificate == "" && s.ClientKey == "" && len(s.ServerPins) == 0
}

// Bundle makes the assets of an app's package out of its settings. In the clear they
// are all in [SettingsFile]; hidden, the secrets and pins are scattered over other
// assets. All stages of the settings have to want it in the same way.
func Bundle(settings Settings, how catalog.Secrets) (map[string][]byte, error) {
	wanted, err := wantedBy(&settings)
	if err != nil {
		return nil, err
	}
	if wanted != how {
		return nil, fmt.Errorf("%w: they want it %q, not %q", ErrSecrets, wanted, how)
	}
	assets := map[string][]byte{}
	if how == catalog.HiddenSecrets {
		hidden, err := json.Marshal(secretsOf(&settings))
		if err != nil {
			return nil, fmt.Errorf("hide the secrets: %w", err)
		}
		pictures, err := scatter.Hide(hidden, rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("hide the secrets: %w", err)
		}
		maps.Copy(assets, pictures)
		secrets{}.into(&settings)
	}
	if assets[SettingsFile], err = json.MarshalIndent(settings, "", "  "); err != nil {
		return nil, fmt.Errorf("write the settings: %w", err)
	}
	return assets, nil
}

// Unbundle reads the settings out of a package's assets, as the app does when it
// starts. What is hidden is put together in memory. Secrets in the clear where the stages
// want them hidden are refused, or whoever repacks the app could add their own.
//
// It is the app's; a test makes sure that no attack calls it.
func Unbundle(assets map[string][]byte) (*Settings, error) {
	data, ok := assets[SettingsFile]
	if !ok {
		return nil, fmt.Errorf("%w: there is no %s", ErrSettings, SettingsFile)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	settings := new(Settings)
	if err := decoder.Decode(settings); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	how, err := wantedBy(settings)
	if err != nil || how == catalog.ClearSecrets {
		return settings, err
	}
	if !secretsOf(settings).none() {
		return nil, fmt.Errorf("%w: there are some in the clear", ErrSecrets)
	}
	gathered, err := scatter.Gather(assets)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	var hidden secrets
	if err := json.Unmarshal(gathered, &hidden); err != nil {
		return nil, fmt.Errorf("%w: what was hidden: %w", ErrSettings, err)
	}
	hidden.into(settings)
	return settings, nil
}

// wantedBy is how all stages of the settings want the secrets to be carried.
func wantedBy(settings *Settings) (catalog.Secrets, error) {
	var wanted catalog.Secrets
	for slug, policy := range settings.Stages {
		switch policy.Secrets {
		case catalog.ClearSecrets, catalog.HiddenSecrets:
		default:
			return "", fmt.Errorf("%w: %s wants %q", ErrSecrets, slug, policy.Secrets)
		}
		if wanted != "" && policy.Secrets != wanted {
			return "", fmt.Errorf("%w: they do not agree", ErrSecrets)
		}
		wanted = policy.Secrets
	}
	if wanted == "" {
		return "", fmt.Errorf("%w: it has no stages", ErrSecrets)
	}
	return wanted, nil
}
