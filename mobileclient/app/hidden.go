//go:build !secrets_clear && !secrets_none

package main

import (
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/scatter"
)

// unbundle reads the settings that the app was shipped with, and puts together in memory
// what is hidden.
func unbundle(assets map[string][]byte) (*release.Settings, error) {
	return scatter.Unbundle(assets)
}
