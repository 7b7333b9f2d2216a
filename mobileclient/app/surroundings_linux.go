package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// traced says whether a debugger holds a thread of this process (proc(5), TracerPid). If the system
// hides that, something is there to be hidden.
//
//keyladder:code app-traced
func traced() bool {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return true
	}
	for _, thread := range threads {
		status, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/status")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) { // the thread has ended
			continue
		}
		if err != nil || !bytes.Contains(status, []byte("\nTracerPid:\t0\n")) {
			return true
		}
	}
	return false
}

// loaders are the variables by which dynamic linkers load what a program does not ask for (ld.so(8)).
var loaders = []string{"LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH"}

// injected says whether code of somebody else's is in this process: executable memory that comes
// neither from the app's own file nor from the kernel. This program loads no libraries and makes no
// code.
//
//keyladder:code app-injected
func injected() bool {
	if preloaded() {
		return true
	}
	own, err := os.Readlink("/proc/self/exe")
	maps, errMaps := os.ReadFile("/proc/self/maps")
	if err != nil || errMaps != nil {
		return true
	}
	return foreign(string(maps), own)
}

func preloaded() bool {
	return slices.ContainsFunc(loaders, func(name string) bool { return os.Getenv(name) != "" })
}

// foreign looks for executable memory that is neither a file's own nor the kernel's (proc(5), maps).
func foreign(maps, own string) bool {
	for line := range strings.Lines(maps) {
		address, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		permissions, rest, _ := strings.Cut(rest, " ")
		if address == "" || len(permissions) < 3 || permissions[2] != 'x' {
			continue
		}
		for range 3 { // offset, device and inode
			_, rest, _ = strings.Cut(rest, " ")
		}
		switch strings.TrimLeft(rest, " ") {
		case own, "[vdso]", "[vsyscall]":
		default:
			return true
		}
	}
	return false
}
