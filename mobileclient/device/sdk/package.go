package sdk

import (
	"os"
	"runtime"
)

// Package is the path under which an app reads its own package. On Linux it leads to the
// very file that runs, whatever has been put in its place meanwhile.
func Package() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}
