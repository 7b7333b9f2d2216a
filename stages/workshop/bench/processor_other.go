//go:build !linux && !darwin

package bench

import (
	"runtime"
	"time"
)

var began = time.Now()

// processorTime is what all processes have had of the processors, if none of these had nothing to do: that
// is so at capacity, and it is the server's part alone that differs.
func processorTime() (time.Duration, error) {
	return time.Since(began) * time.Duration(runtime.NumCPU()), nil
}
