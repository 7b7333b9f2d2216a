//go:build !linux

package attacker

import "context"

func eachWritable(context.Context, int, func(uint64, []byte)) (int64, error) {
	return 0, &Impossible{"reading another program's memory is written for Linux's /proc only"}
}
