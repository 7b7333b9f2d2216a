// Package build makes the parts of a release: the app's programs, and the assets that
// carry its settings.
//
// The app has a program for each way in which a package can carry its secrets, because
// what a program can do can be read out of it. If the program that is shipped with secrets
// in the clear knew how the next release puts them together, it would hand that over in
// advance, however well the next one is obfuscated. The build tag secrets_clear makes that
// one, and secrets_none the one that knows of no secrets; without a tag, it is the one that puts
// together what was hidden.
package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
)

// Programs are the paths of the app's programs, by how their packages carry secrets.
type Programs map[catalog.Secrets]string

// Env is the environment variable with the path of a program that is built already, for
// machines without a Go toolchain and for programs built with a code obfuscator:
// KEYLADDER_APP_PROGRAM_CLEAR, KEYLADDER_APP_PROGRAM_HIDDEN and KEYLADDER_APP_PROGRAM_NONE.
func Env(how catalog.Secrets) string {
	return "KEYLADDER_APP_PROGRAM_" + strings.ToUpper(string(how))
}

// ErrNoSource means that the app's programs can't be built here.
var ErrNoSource = errors.New("the app's program can't be built here")

// Build builds the genuine app's programs for this machine, for these ways to carry
// secrets, in the folder dir. It needs the Go toolchain and a working directory inside the
// module, or the paths of built programs in the environment ([Env]).
func Build(ctx context.Context, dir string, ways ...catalog.Secrets) (Programs, error) {
	programs := Programs{}
	builds, ctx := errgroup.WithContext(ctx)
	for _, how := range ways {
		path := os.Getenv(Env(how))
		if path == "" {
			path = filepath.Join(dir, string(how))
			builds.Go(func() error { return build(ctx, path, how) })
		} else if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("take the app's program that %s names: %w", Env(how), err)
		}
		programs[how] = path
	}
	return programs, builds.Wait()
}

func build(ctx context.Context, dst string, how catalog.Secrets) error {
	dst, err := filepath.Abs(dst)
	if err != nil {
		return fmt.Errorf("build the app's program: %w", err)
	}
	hint := "run this inside Keyladder's source folder with Go installed, or set " + Env(how) + " to a built program"
	tool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("%w: there is no Go toolchain: %s", ErrNoSource, hint)
	}
	// Without cgo it is one file that runs on any distribution; without symbols and
	// paths, because that is how apps are shipped.
	command := exec.CommandContext(ctx, tool, "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags=secrets_"+string(how),
		"-o", dst, "keyladder/mobileclient/app")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("build the app's program: %w", ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%w: %s (go build says: %s)", ErrNoSource, hint, bytes.TrimSpace(output))
	}
	return nil
}

// Bundle makes the assets of an app's package out of its settings.
func Bundle(settings release.Settings, how catalog.Secrets) (map[string][]byte, error) {
	switch how {
	case catalog.ClearSecrets:
		return release.BundleClear(settings)
	case catalog.HiddenSecrets:
		return scatter.Bundle(settings)
	case catalog.NoSecrets:
		return release.BundleNoSecrets(settings)
	}
	return nil, fmt.Errorf("%w: nobody knows how to carry them %q", release.ErrSecrets, how)
}
