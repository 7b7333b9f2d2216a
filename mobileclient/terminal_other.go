//go:build !linux && !darwin

package main

import (
	"errors"
	"os"
)

// The phone does not run on this operating system, so there is nothing to hide.

func hideInput(*os.File) (show func(), err error) { return nil, errors.ErrUnsupported }
