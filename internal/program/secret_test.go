package program_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"keyladder/internal/program"
)

// asTaker makes the tests' program one that takes a secret, and asChild one that looks for
// it where its parent began.
const (
	asTaker = "KEYLADDER_TEST_TAKER"
	asChild = "KEYLADDER_TEST_CHILD"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asChild) != "":
		environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", os.Getppid()))
		fmt.Printf("%s %v\n", environ, err)
		return
	case os.Getenv(asTaker) != "":
		before := os.Getpid()
		secret, err := program.TakeSecret("KEYLADDER_TEST_SECRET")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Printf("took %q, pid %d\n", secret, before)
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), asChild+"=1")
		out, err := child.CombinedOutput()
		fmt.Printf("child: %s %v\nown: %q\narguments: %q\n", out, err, os.Environ(), os.Args[1:])
		return
	}
	os.Exit(m.Run())
}

// A child of a program finds the secret neither in its own environment nor in what /proc
// says of its parent's.
func TestTakeSecret(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"correct horse, battery\tstaple", ""} {
		taker := exec.Command(os.Args[0], "an argument", "--password=is not here")
		taker.Env = append(os.Environ(), asTaker+"=1", "KEYLADDER_TEST_SECRET="+secret, "KEYLADDER_TEST_SECRET_NOT=kept")
		data, err := taker.CombinedOutput()
		out := string(data)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		took := fmt.Sprintf("took %q, pid %d\n", secret, taker.Process.Pid)
		if !strings.Contains(out, took) || !strings.Contains(out, `arguments: ["an argument" "--password=is not here"]`) {
			t.Errorf("%s", out)
		}
		rest := strings.ReplaceAll(out, took, "")
		if secret != "" && strings.Contains(rest, "horse") {
			t.Errorf("a child finds the secret: %s", rest)
		}
		if strings.Contains(rest, "_PIPE=") && secret == "" {
			t.Errorf("a pipe for nothing: %s", rest)
		}
		if runtime.GOOS == "linux" && !strings.Contains(rest, "child: ") || !strings.Contains(rest, "KEYLADDER_TEST_SECRET_NOT=kept") {
			t.Errorf("the child saw nothing at all: %s", rest)
		}
	}
}
