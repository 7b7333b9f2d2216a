//go:build linux || darwin

package sdk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"runtime"
	"sync"
	"syscall"
)

// Run is an app's main function: it finds the device at the inherited sockets, makes
// the app and serves it until the device hangs up, which is how apps end.
func Run(newApp func(*System) (Handler, error)) error {
	if runtime.GOOS == "linux" {
		os.NewFile(6, "package").Close() // what the device has started; see [Package]
	}
	screen, err := inherited(3, "screen")
	if err != nil {
		return err
	}
	systemConn, err := inherited(4, "system")
	if err != nil {
		return err
	}
	network, err := inherited(5, "network")
	if err != nil {
		return err
	}
	s := &System{client: jsonrpc.NewClient(systemConn), waiting: map[uint64]chan net.Conn{}}
	go s.receive(network)

	app, err := newApp(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server := rpc.NewServer()
	if err := server.RegisterName("App", &service{ctx: ctx, app: app}); err != nil {
		return err
	}
	// ServeCodec waits for calls that are under way. The device is gone, so nobody
	// waits for their answers: look at the connection itself.
	line := &line{Conn: screen, ended: make(chan struct{})}
	go server.ServeCodec(jsonrpc.NewServerCodec(line))
	<-line.ended
	return nil
}

func inherited(fd uintptr, name string) (*net.UnixConn, error) {
	file := os.NewFile(fd, name)
	defer file.Close() // FileConn takes a copy
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("this is an app: install it on a device, which starts it (no %s at descriptor %d)", name, fd)
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("this is an app: install it on a device, which starts it (descriptor %d is not a %s)", fd, name)
	}
	return unix, nil
}

// line is the connection to the device; it notices when it ends. It is read through a buffer
// in which what was typed before, a password for example, would lie until something longer is
// typed.
type line struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

func (l *line) Read(b []byte) (int, error) {
	clear(b)
	n, err := l.Conn.Read(b)
	if err != nil {
		l.once.Do(func() { close(l.ended) })
	}
	return n, err
}

// receive takes the connections that the device sends: eight bytes with the number, and
// the descriptor beside them.
func (s *System) receive(network *net.UnixConn) {
	number, oob := make([]byte, 8), make([]byte, syscall.CmsgSpace(4))
	for {
		n, oobn, _, _, err := network.ReadMsgUnix(number, oob)
		if err != nil || n != len(number) {
			return
		}
		conn, err := descriptor(oob[:oobn])
		if err != nil {
			continue // whoever waits for it gives up when its context ends
		}
		s.deliver(binary.BigEndian.Uint64(number), conn)
	}
}

func descriptor(oob []byte) (net.Conn, error) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, errors.New("no descriptor came with it")
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	if len(fds) != 1 {
		return nil, errors.New("not one descriptor came with it")
	}
	syscall.CloseOnExec(fds[0])
	file := os.NewFile(uintptr(fds[0]), "connection")
	defer file.Close() // FileConn takes a copy
	return net.FileConn(file)
}

// service is the app as net/rpc wants it.
type service struct {
	ctx context.Context
	app Handler
}

func (s *service) Open(stage string, _ *None) error { return s.app.Open(s.ctx, stage) }

func (s *service) Tap(tap Tap, screen *Screen) error {
	shown, err := s.app.Tap(s.ctx, tap)
	*screen = shown
	return err
}

func (s *service) OpenURL(url string, _ *None) error { return s.app.OpenURL(s.ctx, url) }
