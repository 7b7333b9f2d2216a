package tempdir

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	memory = "/dev/shm"
	room   = 2 << 30 // bytes: labs, some at a time, take several hundred MB
)

// InMemory has this process, and those that it starts, keep temporary files in memory where there is
// room, unless somebody has chosen a folder by TMPDIR.
func InMemory() error {
	var found unix.Statfs_t
	if os.Getenv("TMPDIR") != "" || unix.Statfs(memory, &found) != nil || found.Type != unix.TMPFS_MAGIC ||
		found.Flags&unix.ST_NOEXEC != 0 || found.Bavail*uint64(found.Bsize) < room || unix.Access(memory, unix.W_OK) != nil {
		return nil
	}
	return os.Setenv("TMPDIR", memory)
}
