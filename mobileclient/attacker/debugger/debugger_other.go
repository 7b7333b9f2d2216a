//go:build !linux || !(amd64 || arm64)

package debugger

import "context"

// Debugger stands in for the one of debugger_linux.go.
type Debugger struct{}

// Attach ends with an [*Impossible].
func Attach(context.Context, int) (*Debugger, error) {
	return nil, &Impossible{"the debugger is written for ptrace of Linux, on amd64 and arm64"}
}

func (*Debugger) Find(context.Context, int64) ([]uint64, error) { return nil, ErrMoved }
func (*Debugger) Write(uint64, int64, int64) error              { return ErrMoved }
func (*Debugger) Detach()                                       {}
