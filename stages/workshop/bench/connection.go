package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// connection sends calls that are made already, one after the other, and reads no more of
// the answers than it must: the status, and where they end.
type connection struct {
	net.Conn
	buffer []byte
}

func newConnection(conn net.Conn) *connection {
	return &connection{Conn: conn, buffer: make([]byte, 64<<10)}
}

var (
	endOfHead = []byte("\r\n\r\n")
	length    = []byte("\r\nContent-Length: ")
	served    = []byte("HTTP/1.1 200 ")
)

// call sends a request and waits for the whole answer, which has to be 200.
func (c *connection) call(request []byte) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	got, want := 0, -1
	for want < 0 || got < want {
		if got == len(c.buffer) {
			return errors.New("an answer is too long")
		}
		n, err := c.Read(c.buffer[got:])
		if got += n; err != nil {
			return fmt.Errorf("an answer ends early: %w", err)
		}
		if want < 0 {
			if want, err = lengthOf(c.buffer[:got]); err != nil {
				return err
			}
		}
	}
	if got > want {
		return errors.New("more than one answer to a call")
	}
	return nil
}

// lengthOf is the length of an answer of which this is the beginning; -1: that can't be
// told yet.
func lengthOf(answer []byte) (int, error) {
	end := bytes.Index(answer, endOfHead)
	if end < 0 {
		return -1, nil
	}
	if !bytes.HasPrefix(answer, served) {
		return 0, fmt.Errorf("the server answers\n%s", answer)
	}
	begin := bytes.Index(answer[:end], length)
	if begin < 0 {
		return 0, fmt.Errorf("an answer does not say how long it is:\n%s", answer[:end])
	}
	value, _, _ := bytes.Cut(answer[begin+len(length):end+2], []byte("\r\n"))
	body, err := strconv.Atoi(string(value))
	if err != nil {
		return 0, fmt.Errorf("an answer's length: %w", err)
	}
	return end + len(endOfHead) + body, nil
}

// patience is how long a sample may take: far longer than it does.
const patience = time.Minute

// send sends the calls over all connections at once, and says how long that took.
func send(connections []*connection, calls [][]byte) (time.Duration, error) {
	errs := make([]error, len(connections))
	var wait sync.WaitGroup
	begin := time.Now()
	for i, c := range connections {
		wait.Go(func() {
			if errs[i] = c.SetDeadline(begin.Add(patience)); errs[i] != nil {
				return
			}
			for n := i; n < len(calls); n += len(connections) {
				if errs[i] = c.call(calls[n]); errs[i] != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	took := time.Since(begin)
	for _, err := range errs {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the server closed a connection: %w", err)
		}
		if err != nil {
			return 0, err
		}
	}
	return took, nil
}

// sendOne sends the calls over one connection and says how long one takes: the median, in
// microseconds.
func sendOne(c *connection, calls [][]byte) (callUS float64, err error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	took := make([]float64, len(calls))
	for i, call := range calls {
		begin := time.Now()
		if err := c.call(call); err != nil {
			return 0, err
		}
		took[i] = float64(time.Since(begin).Nanoseconds()) / 1000
	}
	return median(took), nil
}
