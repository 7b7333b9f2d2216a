package confine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Start starts an app's process, confined. The thread that does it is confined and lends that to the
// process; nothing else runs on it, and it ends when gone is closed.
func Start(cmd *exec.Cmd, gone <-chan struct{}) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,
		Pdeathsig: syscall.SIGKILL, // the end of this thread, which lasts as long as the process or the phone
	}
	started := make(chan error, 1)
	go onOwnThread(func() {
		err := confine()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			<-gone
		}
	})
	if err := <-started; err != nil {
		return err
	}
	return limit(cmd.Process.Pid)
}

// onOwnThread runs f on a thread that ends with it. The process's first thread can't end,
// and stands for the process where the kernel decides who may look into it, so there f is
// moved to another.
func onOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		onOwnThread(f)
	}()
	<-moved
	runtime.UnlockOSThread()
}

// confine takes from this thread, for good, what an app does not need.
func confine() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	for capability := range uintptr(64) {
		_ = unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0) // only root has any, and may
	}
	if err := landlock(); err != nil {
		return err
	}
	return filterSockets()
}

// The files that an app may read: those that programs are linked with, and what the system says about
// itself. Files of other processes that hold secrets stay closed, because the kernel asks
// whether the app might debug them.
var readable = []string{
	"/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/nix/store",
	"/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo",
	"/proc", "/sys", "/dev/null", "/dev/zero", "/dev/urandom",
}

const (
	readRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	fileRights = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE // that a file can have
)

// landlockVersion is the kernel's version of Landlock; 0: it has none, or it is off.
func landlockVersion() int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(version)
}

// landlock confines this thread as far as the kernel can.
func landlock() error {
	version := landlockVersion()
	if version == 0 {
		return nil // [Weaknesses] says so
	}
	rules := unix.LandlockRulesetAttr{Handled_access_fs: unix.LANDLOCK_ACCESS_FS_REFER - 1} // all of version 1
	if version >= 2 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if version >= 3 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if version >= 5 {
		rules.Handled_access_fs |= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if version >= 6 {
		rules.Scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	// Older kernels know the beginning of the structure, and take the rest while it is empty.
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&rules)), unsafe.Sizeof(rules), 0)
	if errno != 0 {
		return os.NewSyscallError("landlock_create_ruleset", errno)
	}
	defer unix.Close(int(fd))
	for _, path := range readable {
		if err := allow(int(fd), path); err != nil {
			return fmt.Errorf("let apps read %s: %w", path, err)
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_restrict_self", errno)
	}
	return nil
}

// allow adds to the rules that what is at a path, if anything is, may be read.
func allow(rules int, path string) error {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	rights := uint64(readRights)
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights = fileRights
	}
	if path == os.DevNull {
		rights |= unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(fd)}
	if _, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(rules), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0); errno != 0 {
		return os.NewSyscallError("landlock_add_rule", errno)
	}
	return nil
}

// MaxDescriptors is how many files an app's process may have open.
const MaxDescriptors = 512

// maxMemory is how much data it may have, in bytes.
const maxMemory = 2 << 30

// limit bounds what a process takes. It runs by then, so what it takes in its first moment
// counts, but is not refused.
func limit(pid int) error {
	limits := map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: MaxDescriptors}
	if !raceDetector() { // which reserves terabytes, and is in an app where it is in the tests
		limits[unix.RLIMIT_DATA] = maxMemory
	}
	for resource, most := range limits {
		err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
		if err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
			return errors.Join(os.NewSyscallError("prlimit", err), unix.Kill(-pid, unix.SIGKILL))
		}
	}
	return nil
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, setting := range info.Settings {
		if setting.Key == "-race" && setting.Value == "true" {
			return true
		}
	}
	return false
}

// Kill ends a process with those that it has started, as far as they stayed in its group.
func Kill(process *os.Process) { _ = unix.Kill(-process.Pid, unix.SIGKILL) }

// Weaknesses say what this machine does not keep apps from.
func Weaknesses() []string {
	var weak []string
	switch version := landlockVersion(); {
	case version == 0:
		weak = append(weak, "this kernel has no Landlock, or it is off: apps on the phone can read and write the files of whoever runs it")
	case version < 6:
		weak = append(weak, "this kernel's Landlock is old: apps on the phone can signal other processes")
	}
	if architectures[runtime.GOARCH] == 0 || !hasSeccomp() {
		weak = append(weak, "there is no filter of system calls here: apps on the phone can use the network by themselves")
	}
	return weak
}

// Debugged says whether a debugger holds a thread of a process, as the system sees it (proc(5),
// TracerPid). A thread whose status can't be read counts as held.
func Debugged(pid int) bool {
	folder := fmt.Sprintf("/proc/%d/task", pid)
	threads, err := os.ReadDir(folder)
	if err != nil {
		return true
	}
	for _, thread := range threads {
		status, err := os.ReadFile(folder + "/" + thread.Name() + "/status")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) { // the thread has ended
			continue
		}
		if err != nil || !bytes.Contains(status, []byte("\nTracerPid:\t0\n")) {
			return true
		}
	}
	return false
}
