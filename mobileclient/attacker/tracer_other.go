//go:build !linux || !(amd64 || arm64)

package attacker

import (
	"context"
	"errors"
)

// tracer stands in for the one of tracer_linux.go.
type tracer struct{}

var errMoved = errors.New("something else is at that address by now")

func attach(context.Context, int) (*tracer, error) {
	return nil, &Impossible{"the debugger is written for ptrace of Linux, on amd64 and arm64"}
}

func (*tracer) find(context.Context, int64) ([]uint64, error) { return nil, errMoved }
func (*tracer) write(uint64, int64, int64) error              { return errMoved }
func (*tracer) detach()                                       {}
