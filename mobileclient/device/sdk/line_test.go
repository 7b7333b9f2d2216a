//go:build linux || darwin

package sdk

import (
	"bytes"
	"net"
	"testing"
)

// What was read before is not left in a buffer that is read into again.
func TestLineLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		defer there.Close()
		_, _ = there.Write([]byte("tap")) // the test's end of it says what arrived
	}()
	l := &line{Conn: here, ended: make(chan struct{})}
	buffer := []byte("sign in with a password")
	n, err := l.Read(buffer)
	if err != nil || string(buffer[:n]) != "tap" || len(bytes.Trim(buffer[n:], "\x00")) > 0 {
		t.Errorf("%q, %v", buffer, err)
	}
}
