//go:build linux || darwin

package device

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"syscall"
)

// socketPair makes two connected sockets: one for this process, one to give away.
// Neither is inherited by accident.
func socketPair(name string) (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock() // there is no SOCK_CLOEXEC on macOS
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), name), os.NewFile(uintptr(fds[1]), name)
	defer ours.Close() // FileConn takes a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil
}

// sendFile gives an open file to the process at the other end.
func sendFile(conn *net.UnixConn, number uint64, file *os.File) error {
	_, _, err := conn.WriteMsgUnix(binary.BigEndian.AppendUint64(nil, number), syscall.UnixRights(int(file.Fd())), nil)
	return err
}

// apart has a process be in a group of its own, which no key on the keyboard interrupts.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
