//go:build !linux && !darwin

package main

import (
	"errors"
	"os"
)

// The phone does not run on this operating system, so there is nothing to hide or lock.

func hideInput(*os.File) (show func(), err error) { return nil, errors.ErrUnsupported }

func lock(*os.File) error { return nil }
