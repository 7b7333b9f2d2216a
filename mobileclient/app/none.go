//go:build secrets_none

package main

import "keyladder/mobileclient/release"

// unbundle reads the settings that the app was shipped with. There is no secret among them, and
// this program has no place for one.
func unbundle(assets map[string][]byte) (*release.Settings, error) {
	return release.UnbundleNoSecrets(assets)
}
