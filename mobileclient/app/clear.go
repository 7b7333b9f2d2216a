//go:build secrets_clear

package main

import "keyladder/mobileclient/release"

// unbundle reads the settings that the app was shipped with. This program does not know
// how to find what is hidden.
func unbundle(assets map[string][]byte) (*release.Settings, error) {
	return release.UnbundleClear(assets)
}
