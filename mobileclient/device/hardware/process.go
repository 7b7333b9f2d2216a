package hardware

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"runtime"

	"keyladder/stages/mechanism/evidence"
)

// name is what the program is started as in order to be the hardware.
const name = "keyladder-secure-hardware"

// Command starts this program once more, as the hardware in a folder. It is spoken to at the other end
// of the socket, and ends when that is closed.
func Command(dir string, socket *os.File) (*exec.Cmd, error) {
	path := "/proc/self/exe" // this very program, also where its file was replaced
	if runtime.GOOS != "linux" {
		var err error
		if path, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("start the secure hardware: %w", err)
		}
	}
	cmd := exec.CommandContext(context.Background(), path)
	cmd.Args = []string{name, dir}
	cmd.Env = []string{} // not nil, which would be this process's own
	cmd.Dir = "/"
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{socket} // descriptor 3
	return cmd, nil
}

// This runs in every program that has a device, tests among them, before their main function: they need
// not know about it, and none becomes something else by mistake.
func init() {
	if len(os.Args) != 2 || os.Args[0] != name {
		return
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(dir string) error {
	if err := shut(); err != nil {
		return fmt.Errorf("secure hardware: %w", err)
	}
	file := os.NewFile(3, "device")
	conn, err := net.FileConn(file)
	if err != nil {
		return fmt.Errorf("secure hardware: a device starts it: %w", err)
	}
	file.Close() // FileConn has taken a copy
	return serve(dir, conn)
}

// serve answers until the connection ends.
func serve(dir string, conn io.ReadWriteCloser) error {
	p, err := open(dir)
	if err != nil {
		return err
	}
	return p.serve(conn)
}

func (p *part) serve(conn io.ReadWriteCloser) error {
	server := rpc.NewServer()
	if err := server.RegisterName("Hardware", p); err != nil {
		return err
	}
	server.ServeCodec(jsonrpc.NewServerCodec(conn))
	return nil
}

// Within runs the hardware in a folder within this process, and boots it. That is for programs that take
// the place of a phone, on which no app runs that could look into their memory.
func Within(dir string, started evidence.System) (*Client, error) {
	p, err := open(dir)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	go func() { _ = p.serve(far) }() // it fails at once or never, and Boot says so
	line := NewClient(near)
	if err := line.Boot(started); err != nil {
		line.Close()
		return nil, err
	}
	return line, nil
}
