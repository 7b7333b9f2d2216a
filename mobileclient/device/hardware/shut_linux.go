package hardware

import (
	"os"

	"golang.org/x/sys/unix"
)

// shut keeps others of the same user from this process's memory, and the memory off the disk.
func shut() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}
