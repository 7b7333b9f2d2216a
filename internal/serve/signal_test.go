package serve_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"keyladder/internal/serve"
)

// stuck makes the test's program one that does not stop when it is told to.
const stuck = "KEYLADDER_TEST_STUCK"

func TestMain(m *testing.M) {
	if os.Getenv(stuck) != "" {
		ctx := serve.UntilSignal()
		fmt.Println("running")
		<-ctx.Done()
		fmt.Println("told to stop")
		select {}
	}
	os.Exit(m.Run())
}

func TestSecondSignalEndsTheProcess(t *testing.T) {
	t.Parallel()
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), stuck+"=1")
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	said := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the program says %q, %v; want %q", lines.Text(), lines.Err(), want)
		}
	}
	said("running")
	program.Process.Signal(os.Interrupt)
	said("told to stop")
	// The second one counts from a moment after the first, so it is sent until it does.
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	for {
		select {
		case <-again.C:
			program.Process.Signal(os.Interrupt)
			continue
		case err = <-ended:
		}
		break
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, not by the signal", err)
	}
}
