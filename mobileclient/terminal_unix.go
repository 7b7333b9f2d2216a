//go:build linux || darwin

package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// hideInput has a terminal not show what is typed, until show is called. The error says
// that the file is no terminal.
func hideInput(file *os.File) (show func(), err error) {
	fd := int(file.Fd())
	before, err := unix.IoctlGetTermios(fd, getTerminal)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, setTerminal, &hidden); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, setTerminal, before) }, nil // the terminal may be gone
}
