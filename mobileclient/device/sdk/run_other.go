//go:build !linux && !darwin

package sdk

import (
	"errors"
	"runtime"
)

// Run needs an operating system that hands descriptors from process to process.
func Run(func(*System) (Handler, error)) error {
	return errors.New("apps run on Linux and macOS only, not on " + runtime.GOOS)
}
