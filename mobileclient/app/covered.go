//go:build covered

package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime/coverage"
)

// The app as tests build it that want to know which of its lines they run:
//
//	go build -cover -covermode=atomic -tags=secrets_clear,covered
//
// When it ends it writes that to descriptor 7, where the device puts a file on Linux: the length of
// the description of the program, as eight bytes, that description, and the counters.
func init() {
	ended = func() {
		file := os.NewFile(7, "coverage")
		var program bytes.Buffer
		if file == nil || coverage.WriteMeta(&program) != nil {
			return
		}
		_ = binary.Write(file, binary.BigEndian, uint64(program.Len())) // who wants to know finds nothing
		_, _ = program.WriteTo(file)
		_ = coverage.WriteCounters(file)
	}
}
