//go:build !linux

package main

import "os"

// traced is not found out here: what the system says of a process takes calls that differ from
// version to version.
func traced() bool { return false }

// injected knows of the one way that needs no debugger (dyld(1)).
func injected() bool { return os.Getenv("DYLD_INSERT_LIBRARIES") != "" }
