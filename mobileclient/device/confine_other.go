//go:build !linux && !darwin

package device

import (
	"os"
	"os/exec"
)

// No phone runs here, see [New].

func startConfined(cmd *exec.Cmd, _ <-chan struct{}) error { return cmd.Start() }

func kill(process *os.Process) { _ = process.Kill() }

// Weaknesses say what this machine does not keep apps from.
func Weaknesses() []string { return nil }

func debugged(int) bool { return true }
