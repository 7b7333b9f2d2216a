package testenv

import (
	"flag"
	"fmt"
	"runtime"
)

// Waiting has twice as many tests of this program run at a time, unless somebody has chosen how many: they wait
// for most of the time, for limits, for tokens to expire, for browsers. It parses the flags.
func Waiting() error {
	flag.Parse()
	parallel := flag.Lookup("test.parallel")
	if parallel.Value.String() != fmt.Sprint(runtime.GOMAXPROCS(0)) {
		return nil
	}
	return flag.Set(parallel.Name, fmt.Sprint(2*runtime.GOMAXPROCS(0)))
}
