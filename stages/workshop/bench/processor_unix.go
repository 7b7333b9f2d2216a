//go:build linux || darwin

package bench

import (
	"fmt"
	"syscall"
	"time"
)

// processorTime is what this process has had of the processors so far, for itself and in the system.
func processorTime() (time.Duration, error) {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0, fmt.Errorf("ask for the processor time: %w", err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), nil
}
