package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
)

func main() {
	err := sdk.Run(func(system *sdk.System) (sdk.Handler, error) {
		settings, err := shipped()
		if err != nil {
			return nil, err
		}
		return &bank{system: system, settings: settings}, nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// shipped reads the settings out of the app's own package. Release 1 does not hide
// anything: they are there in the clear, and stay in memory as they are.
func shipped() (*release.Settings, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the app's own package: %w", err)
	}
	_, assets, err := release.Assets(self)
	if err != nil {
		return nil, err
	}
	data, ok := assets[release.SettingsFile]
	if !ok {
		return nil, errors.New("the package has no " + release.SettingsFile)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	settings := new(release.Settings)
	if err := decoder.Decode(settings); err != nil {
		return nil, fmt.Errorf("read %s: %w", release.SettingsFile, err)
	}
	return settings, nil
}
