package confine

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Start starts an app's process, in a process group of its own.
func Start(cmd *exec.Cmd, _ <-chan struct{}) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd.Start()
}

// Kill ends a process with those that it has started, as far as they stayed in its group.
func Kill(process *os.Process) { _ = syscall.Kill(-process.Pid, syscall.SIGKILL) }

// Weaknesses say what this machine does not keep apps from.
func Weaknesses() []string {
	return []string{"on macOS nothing confines apps: they can read and write the files of whoever runs the phone, and use the network"}
}

// traced is the flag of a process that a debugger holds (P_TRACED of sys/proc.h).
const traced = 0x800

// Debugged says whether a debugger holds a process, as the system sees it (sysctl(3), KERN_PROC). What
// can't be read counts as one.
func Debugged(pid int) bool {
	process, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	return err != nil || process.Proc.P_flag&traced != 0
}
