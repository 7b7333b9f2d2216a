//go:build !linux && !darwin

package program

import "os"

// Lock does nothing: what takes turns does not run on this operating system.
func Lock(*os.File) error { return nil }
