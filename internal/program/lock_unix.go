//go:build linux || darwin

package program

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock waits until nobody else has the file locked. Closing the file unlocks it.
func lock(file *os.File) error {
	for {
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}
