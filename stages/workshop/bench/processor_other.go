//go:build !linux && !darwin

package bench

import (
	"runtime"
	"time"
)

var began = time.Now()

// processorTime is what all processes have had of the processors, if none of these had nothing to do, as at
// capacity. It holds the sender's part, too.
func processorTime() (time.Duration, error) {
	return time.Since(began) * time.Duration(runtime.NumCPU()), nil
}
