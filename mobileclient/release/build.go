package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Names of environment variables.
const (
	// ProgramEnv has the path of an app program that is built already, for machines
	// without a Go toolchain.
	ProgramEnv = "KEYLADDER_APP_PROGRAM"
	// ProgramEnv2 has the path of one that was built with a code obfuscator, for
	// release 2.
	ProgramEnv2 = "KEYLADDER_APP_PROGRAM_2"
)

// Program is the path of the program that goes into a release, where plain is the
// one that [BuildProgram] made. Release 2 hides its secrets, so it gets the obfuscated
// program if there is one.
func Program(number int, plain string) string {
	if built := os.Getenv(ProgramEnv2); number == 2 && built != "" {
		return built
	}
	return plain
}

// ErrNoSource means that the app's program can't be built here.
var ErrNoSource = errors.New("the app's program can't be built here")

// BuildProgram builds the genuine app's program for this machine into the file dst. It
// needs the Go toolchain and a working directory inside the module, or the path of
// a built program in the environment ([ProgramEnv]).
func BuildProgram(ctx context.Context, dst string) error {
	if built := os.Getenv(ProgramEnv); built != "" {
		if err := copyProgram(dst, built); err != nil {
			return fmt.Errorf("take the app's program that %s names: %w", ProgramEnv, err)
		}
		return nil
	}
	dst, err := filepath.Abs(dst)
	if err != nil {
		return fmt.Errorf("build the app's program: %w", err)
	}
	const hint = "run this inside Keyladder's source folder with Go installed, or set " + ProgramEnv + " to a built program"
	tool, err := exec.LookPath("go")
	if err != nil {
		return fmt.Errorf("%w: there is no Go toolchain: %s", ErrNoSource, hint)
	}
	// Without cgo it is one file that runs on any distribution; without symbols and
	// paths, because that is how apps are shipped.
	build := exec.CommandContext(ctx, tool, "build", "-trimpath", "-ldflags=-s -w", "-o", dst, "keyladder/mobileclient/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	output, err := build.CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("build the app's program: %w", ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%w: %s (go build says: %s)", ErrNoSource, hint, bytes.TrimSpace(output))
	}
	return nil
}

func copyProgram(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
