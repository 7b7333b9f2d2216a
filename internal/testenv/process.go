package testenv

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// Process starts the test's own program anew, with a variable by which its TestMain knows that it is a
// server then. It returns the words of the line that the server says when it is ready, and how it is
// killed: with SIGKILL, after which nothing of it runs any more.
func Process(t testing.TB, variable, value string) (said []string, kill func()) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env, command.Stderr = append(os.Environ(), variable+"="+value), os.Stderr
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = command.Process.Kill() // it may have ended by itself
		_ = command.Wait()
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return strings.Fields(line), kill
}
