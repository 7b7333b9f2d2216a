package main

import (
	"fmt"
	"os"

	"keyladder/mobileclient/device/sdk"
	"keyladder/mobileclient/release"
)

func main() {
	err := sdk.Run(func(system *sdk.System) (sdk.Handler, error) {
		manifest, settings, err := shipped()
		if err != nil {
			return nil, err
		}
		return &harbourApp{system: system, settings: settings, manifest: manifest}, nil
	})
	ended()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// ended is called when the app has ended; see covered.go.
var ended = func() {}

// shipped reads the settings out of the app's own package. Hidden or not there, they
// stay in memory as they are.
func shipped() (release.Manifest, *release.Settings, error) {
	self, err := sdk.Package()
	if err != nil {
		return release.Manifest{}, nil, fmt.Errorf("find the app's own package: %w", err)
	}
	manifest, assets, err := release.Assets(self)
	if err != nil {
		return manifest, nil, err
	}
	settings, err := unbundle(assets)
	return manifest, settings, err
}
