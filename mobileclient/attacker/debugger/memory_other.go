//go:build !linux

package debugger

import "context"

// EachWritable ends with an [*Impossible].
func EachWritable(context.Context, int, func(uint64, []byte)) (int64, error) {
	return 0, &Impossible{"reading another program's memory is written for Linux's /proc only"}
}
