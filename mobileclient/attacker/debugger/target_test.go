package debugger

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	asTarget  = "KEYLADDER_TEST_TARGET" // set: this process is a program to be attacked
	targetCap = 100_000
)

// TestMain lets the test's own executable be the program that tests attach to.
func TestMain(m *testing.M) {
	if os.Getenv(asTarget) != "" {
		target()
		return
	}
	os.Exit(m.Run())
}

// settings is what the target keeps on its heap.
var settings = &struct {
	name string
	cap  int64
}{"target", targetCap}

// targetKey is how it keeps a private key: no file's form, just numbers.
var targetKey *ecdsa.PrivateKey

// target answers questions on its standard input, one a line, while it is as busy as a
// Go program can be: it collects garbage, preempts loops with signals and makes threads.
func target() {
	secret := []byte("Authorization: key " + os.Getenv(asTarget) + "\r\n")
	var churn sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		churn.Go(func() {
			kept := [][]byte{}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if kept = append(kept, make([]byte, 4096)); len(kept) > 500 {
					kept = nil
				}
			}
		})
	}
	var err error
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "cap":
			fmt.Println(settings.cap)
		case "tracer":
			fmt.Println(tracerPid())
		case "threads": // a locked thread ends with its goroutine
			var threads sync.WaitGroup
			for range 5 {
				threads.Go(func() { runtime.LockOSThread() })
			}
			threads.Wait()
			fmt.Println("done")
		case "key":
			if targetKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				os.Exit(4)
			}
			point, err := targetKey.PublicKey.Bytes()
			if err != nil {
				os.Exit(4)
			}
			fmt.Printf("%x\n", point)
		case "end":
			os.Exit(3)
		}
	}
	if lines.Err() != nil {
		os.Exit(4)
	}
	close(stop)
	churn.Wait()
	runtime.KeepAlive(secret)
}

func tracerPid() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "TracerPid:"); ok {
			pid, _ := strconv.Atoi(strings.TrimSpace(value))
			return pid
		}
	}
	return -1
}
