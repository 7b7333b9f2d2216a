// Package debugger holds a running program under a debugger and reads its memory, as gdb
// and Frida do for whoever may debug the program.
//
// [Attach] makes a [Debugger], which finds numbers in the program's memory and changes
// them. [EachWritable] only reads, and needs no debugger.
//
//	debugger_linux.go  holds all threads of a process under ptrace
//	memory_linux.go    reads a process's memory by /proc
//
// Both are written for Linux. Elsewhere all ends with an [*Impossible] that says so.
package debugger

import "errors"

// Impossible says that an attack can't be carried out on this operating system. It is an
// error: nothing was learned about what is attacked.
type Impossible struct{ Reason string }

func (e *Impossible) Error() string { return "not on this operating system: " + e.Reason }

// ErrMoved says that memory holds something else than expected.
var ErrMoved = errors.New("something else is at that address by now")
