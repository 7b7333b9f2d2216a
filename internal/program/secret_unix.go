//go:build linux || darwin

package program

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// startAnew replaces the program that runs in this process by itself. It returns only when
// that fails.
func startAnew(name, pipe, value string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var ends [2]int
	if err := unix.Pipe(ends[:]); err != nil { // they are inherited
		return os.NewSyscallError("pipe", err)
	}
	if _, err := unix.Write(ends[1], []byte(value)); err != nil {
		return os.NewSyscallError("write", err)
	}
	if err := unix.Close(ends[1]); err != nil {
		return os.NewSyscallError("close", err)
	}
	environ := append(without(os.Environ(), name), pipe+"="+strconv.Itoa(ends[0]))
	return os.NewSyscallError("exec", unix.Exec(self, os.Args, environ))
}
