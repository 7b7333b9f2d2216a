package attacker

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"keyladder/stages/workshop/lab/testbank"
)

// TestMain makes a folder for what all tests share, and removes what they left.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "keyladder-attacker-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	code := m.Run()
	if err := errors.Join(os.RemoveAll(dir), testbank.Remove()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// scratch is a folder for what all tests share.
var scratch string
