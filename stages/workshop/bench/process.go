package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// process is the server that is measured. It ends when its standard input does, so that it
// does not outlive who measures.
type process struct {
	command *exec.Cmd
	stdin   io.Closer
	told    bytes.Buffer // on its standard error
}

// start starts the server and waits until it answers.
func start(command *exec.Cmd) (*process, addresses, error) {
	p := &process{command: command}
	command.Stderr = &p.told
	var at addresses
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, at, err
	}
	p.stdin = stdin
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, at, err
	}
	if err := command.Start(); err != nil {
		return nil, at, fmt.Errorf("start the server that is measured: %w", err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		return nil, at, errors.Join(fmt.Errorf("the server that is measured does not start: %w", err), p.stop())
	}
	return p, at, nil
}

// stop ends the server. Its error has what the server said.
func (p *process) stop() error {
	p.stdin.Close()
	err := p.command.Wait()
	if err != nil {
		err = fmt.Errorf("the server that is measured: %w", err)
	}
	if p.told.Len() > 0 {
		err = errors.Join(err, fmt.Errorf("it says: %s", bytes.TrimSpace(p.told.Bytes())))
	}
	return err
}

// UntilClosed ends the context when the input does.
func UntilClosed(ctx context.Context, in io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	return ctx, cancel
}
