package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"keyladder/mobileclient/release"
)

func packCommand() *cobra.Command {
	var set []string
	c := &cobra.Command{
		Use:   "pack PACKAGE CHANGED",
		Short: "Take a package of the app apart, change its settings, pack it again and sign it with a new key",
		Long: `Take a package of the app apart, change its settings, pack it again and sign it with a new key:

  go run ./stages pack --set TRANSFER_CAP=100000000 harbour-bank-1.pkg changed.pkg
  go run ./mobileclient --stage app-id --package changed.pkg accounts

The key is made now and used once. A phone installs the result if its owner lets it install
packages of anybody, which mobileclient's --package does.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := repack(args[0], args[1], set); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "packed %s, signed with a key of its own\n", args[1])
			return err
		},
	}
	c.Flags().StringArrayVar(&set, "set", nil, "a setting `NAME=VALUE`, with a value in JSON: TRANSFER_CAP=100000000")
	return c
}

// repack makes a changed package of a package.
func repack(from, to string, set []string) error {
	program, manifest, assets, err := release.Read(from)
	if err != nil {
		return err
	}
	settings := map[string]json.RawMessage{}
	if err := json.Unmarshal(assets[release.SettingsFile], &settings); err != nil {
		return fmt.Errorf("read the settings in %s: %w", from, err)
	}
	for _, change := range set {
		name, value, ok := strings.Cut(change, "=")
		if !ok || !json.Valid([]byte(value)) {
			return fmt.Errorf("--set %s: not NAME=VALUE with a value in JSON", change)
		}
		if _, ok := settings[name]; !ok {
			return fmt.Errorf("--set %s: there is no setting %s in %s", change, name, from)
		}
		settings[name] = json.RawMessage(value)
	}
	if assets[release.SettingsFile], err = json.Marshal(settings); err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "keyladder-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	unpacked := filepath.Join(dir, "program")
	if err := os.WriteFile(unpacked, program, 0o700); err != nil {
		return err
	}
	return release.Pack(to, unpacked, manifest, assets, key)
}
