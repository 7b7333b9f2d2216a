//go:build amd64 || arm64

package debugger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keyladder/internal/testenv"
	"keyladder/mobileclient/attacker/loot"
)

// running is a target that was started.
type running struct {
	t       *testing.T
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func start(t *testing.T) *running {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = append(os.Environ(), asTarget+"=key-in-memory", "GOMAXPROCS=2")
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{t, command, in, bufio.NewReader(out)}
	t.Cleanup(func() {
		_ = in.Close()
		if command.ProcessState == nil {
			_ = command.Wait()
		}
	})
	r.ask("cap") // it is up
	return r
}

// ask puts a question to the target. A target that was left stopped never answers.
func (r *running) ask(question string) string {
	r.t.Helper()
	watchdog := time.AfterFunc(time.Minute, func() { _ = r.command.Process.Kill() })
	defer watchdog.Stop()
	if _, err := io.WriteString(r.in, question+"\n"); err != nil {
		r.t.Fatalf("the target is gone: %v", err)
	}
	answer, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatalf("the target does not answer %q: %v", question, err)
	}
	return strings.TrimSpace(answer)
}

// attached attaches a debugger until the test ends.
func (r *running) attached(ctx context.Context) *Debugger {
	r.t.Helper()
	debugger, err := Attach(ctx, r.command.Process.Pid)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(debugger.Detach)
	return debugger
}

func TestDebuggerChangesARunningProgram(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	target := start(t)
	debugger := target.attached(t.Context())
	if target.ask("tracer") == "0" {
		t.Error("the target does not see its debugger")
	}
	addresses, err := debugger.Find(t.Context(), targetCap)
	if err != nil {
		t.Fatal(err)
	}
	if len(addresses) == 0 {
		t.Fatal("the value was not found")
	}
	changed := slices.ContainsFunc(addresses, func(address uint64) bool {
		if err := debugger.Write(address, targetCap, 7); err != nil {
			t.Logf("write: %v", err)
			return false
		}
		if target.ask("cap") == "7" {
			return true
		}
		if err := debugger.Write(address, 7, targetCap); err != nil {
			t.Logf("restore: %v", err)
		}
		return false
	})
	if !changed {
		t.Fatalf("none of %d places was the right one", len(addresses))
	}
	target.ask("threads")
	debugger.Detach()
	if got := target.ask("tracer"); got != "0" {
		t.Errorf("after detaching, the target is still traced by %s", got)
	}
	if got := target.ask("cap"); got != "7" {
		t.Errorf("after detaching, the cap is %s", got)
	}
}

func TestDebuggerWriteLeavesOtherValuesAlone(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	target := start(t)
	debugger := target.attached(t.Context())
	addresses, err := debugger.Find(t.Context(), targetCap)
	if err != nil || len(addresses) == 0 {
		t.Fatalf("found %d, %v", len(addresses), err)
	}
	if err := debugger.Write(addresses[0], targetCap+1, 7); !errors.Is(err, ErrMoved) {
		t.Errorf("write = %v, want %v", err, ErrMoved)
	}
}

func TestDebuggerAttachesAgainAndAgain(t *testing.T) {
	t.Parallel()
	target := start(t)
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	for round := range rounds {
		debugger, err := Attach(t.Context(), target.command.Process.Pid)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if round%10 == 0 {
			target.ask("threads")
		}
		if err := debugger.frozen(func() error { return nil }); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if target.ask("tracer") == "0" {
			t.Fatalf("round %d: the target does not see its debugger", round)
		}
		debugger.Detach()
		if target.ask("tracer") != "0" {
			t.Fatalf("round %d: still attached", round)
		}
	}
}

func TestDebuggerLetsGoWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	target := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	debugger := target.attached(ctx)
	cancel()
	<-debugger.done
	if got := target.ask("tracer"); got != "0" {
		t.Errorf("the target is still traced by %s", got)
	}
	if err := debugger.frozen(func() error { return nil }); !errors.Is(err, errGone) {
		t.Errorf("frozen = %v, want %v", err, errGone)
	}
	debugger.Detach() // does nothing
}

func TestDebuggerLeavesTheEndOfTheProcessToItsParent(t *testing.T) {
	t.Parallel()
	for range 5 {
		target := start(t)
		debugger := target.attached(t.Context())
		if _, err := io.WriteString(target.in, "end\n"); err != nil {
			t.Fatal(err)
		}
		// While the target is traced, its stops are reported to whoever waits for it here.
		<-debugger.done
		var exit *exec.ExitError
		if err := target.command.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
			t.Fatalf("the parent sees %v, want exit status 3", err)
		}
	}
}

func TestDebuggerOfAProcessThatIsGone(t *testing.T) {
	t.Parallel()
	target := start(t)
	_ = target.in.Close()
	_ = target.command.Wait()
	if _, err := Attach(t.Context(), target.command.Process.Pid); !errors.Is(err, errGone) {
		t.Errorf("attach = %v, want %v", err, errGone)
	}
}

// A process of which nobody has asked yet how it ended is gone, too: nothing forbids to
// debug it.
func TestDebuggerOfAProcessThatHasJustEnded(t *testing.T) {
	t.Parallel()
	target := start(t)
	pid := target.command.Process.Pid
	_ = target.in.Close()
	waitUntil(t, func() bool { return strings.Contains(procFile(pid, "stat"), ") Z ") })
	if _, err := Attach(t.Context(), pid); !errors.Is(err, errGone) {
		t.Errorf("attach = %v, want %v", err, errGone)
	}
}

// TestDebuggerWaitsForThreads attaches to a process one of whose threads can't be held for
// some time, as one that was made a moment ago.
func TestDebuggerWaitsForThreads(t *testing.T) {
	t.Parallel()
	target := start(t)
	pid := target.command.Process.Pid
	tracer := &Debugger{pid: pid}
	tids, err := tracer.listed()
	if err != nil || len(tids) < 2 {
		t.Fatalf("threads %v, %v", tids, err)
	}
	held, released := make(chan error), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	go onOwnThread(func() {
		held <- ptrace(unix.PTRACE_SEIZE, tids[len(tids)-1], 0, 0)
		<-released
	})
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	attached := make(chan error, 1)
	go func() {
		debugger, err := Attach(t.Context(), pid)
		if err == nil {
			debugger.Detach()
		}
		attached <- err
	}()
	waitUntil(t, func() bool { return !strings.Contains(procFile(pid, "status"), "TracerPid:\t0\n") })
	select {
	case err := <-attached:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	release()
	if err := <-attached; err != nil {
		t.Error(err)
	}
}

// procFile is what the kernel says about a process; empty: nothing.
func procFile(pid int, name string) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	return string(data)
}

// waitUntil waits until a condition holds.
func waitUntil(t *testing.T, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not come")
		}
	}
}

func TestMemoryIsSearched(t *testing.T) {
	t.Parallel()
	target := start(t)
	var found loot.Loot
	searched, err := EachWritable(t.Context(), target.command.Process.Pid, func(_ uint64, data []byte) { found.Search(data) })
	if err != nil {
		t.Fatal(err)
	}
	if searched == 0 || !slices.Contains(found.ClientIDs, "key-in-memory") {
		t.Errorf("found %d keys in %s bytes", len(found.ClientIDs), strconv.FormatInt(searched, 10))
	}
}

func TestKeysAreFoundInARunningProgram(t *testing.T) {
	t.Parallel()
	target := start(t)
	point, err := hex.DecodeString(target.ask("key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	keys := loot.NewScalars([]*x509.Certificate{{PublicKey: public}})
	if _, err := EachWritable(t.Context(), target.command.Process.Pid, func(_ uint64, data []byte) { keys.Search(data) }); err != nil {
		t.Fatal(err)
	}
	if len(keys.Found) != 1 {
		t.Fatalf("%d keys found among %d numbers", len(keys.Found), keys.Tried())
	}
	if got, err := keys.Found[0].PublicKey.Bytes(); err != nil || !bytes.Equal(got, point) {
		t.Error("it is another program's key")
	}
	t.Logf("tried %d numbers", keys.Tried())
}
