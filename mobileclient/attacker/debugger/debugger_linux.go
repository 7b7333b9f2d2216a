//go:build amd64 || arm64

package debugger

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	tracerTick = time.Millisecond // how long a thread that stopped may have to wait
	freezeTime = 5 * time.Second  // within which all threads of a process are held, and stop when asked
)

var errGone = errors.New("the process has ended")

// Debugger holds all threads of a process under ptrace, as gdb does. The kernel shows it
// as TracerPid in the process's status for as long as it lasts.
//
// The kernel takes requests about a tracee from one thread only, the one that attached
// to it. So a goroutine that is locked to its thread does all the work, until
// [Debugger.Detach] or the end of the context that it was made with. The goroutine never
// unlocks the thread: both end together, and then the kernel lets go of whatever was
// still held. No thread of the process is left stopped.
//
// Waiting is done thread by thread and never reaps the process itself, because its
// parent, usually in this very process, waits for that.
type Debugger struct {
	pid     int
	threads map[int]*tracee
	work    chan func() (last bool)
	done    chan struct{} // closed when nothing is held any more
}

// tracee is a thread of the process.
type tracee struct {
	stopped bool
	signal  int // that stopped it, to be passed on; 0: none
}

// Attach takes hold of a process. The process goes on as if nothing had happened.
func Attach(ctx context.Context, pid int) (*Debugger, error) {
	t := &Debugger{pid: pid, threads: map[int]*tracee{}, work: make(chan func() bool), done: make(chan struct{})}
	attached := make(chan error, 1)
	go onOwnThread(func() {
		defer close(t.done)
		err := t.seize()
		if err != nil {
			t.letGo()
		}
		attached <- err
		if err == nil {
			t.loop(ctx)
		}
	})
	if err := <-attached; err != nil {
		return nil, fmt.Errorf("attach to process %d: %w", pid, err)
	}
	return t, nil
}

// onOwnThread runs f on a thread that ends with it. The process's first thread can't
// end, so there f is moved to another.
func onOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		onOwnThread(f)
	}()
	<-moved
	runtime.UnlockOSThread()
}

// frozen runs f while every thread of the process is stopped.
func (t *Debugger) frozen(f func() error) error {
	result := make(chan error, 1)
	work := func() bool {
		err := t.freeze()
		if err == nil {
			err = f()
		}
		t.thaw()
		result <- err
		return false
	}
	select {
	case t.work <- work:
		return <-result
	case <-t.done:
		return errGone
	}
}

// Find is the addresses at which the process's writable memory holds a value.
func (t *Debugger) Find(ctx context.Context, value int64) (addresses []uint64, err error) {
	err = t.frozen(func() error {
		addresses, err = holding(ctx, t.pid, value)
		return err
	})
	return addresses, err
}

// Write puts a value at an address of the process's memory. It is ErrMoved where
// something else than expected is there.
func (t *Debugger) Write(address uint64, expected, value int64) error {
	return t.frozen(func() error { return t.replace(address, expected, value) })
}

func (t *Debugger) replace(address uint64, expected, value int64) error {
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", t.pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	var word [wordSize]byte
	if _, err := memory.ReadAt(word[:], int64(address)); err != nil {
		return err
	}
	if int64(binary.NativeEndian.Uint64(word[:])) != expected {
		return ErrMoved
	}
	binary.NativeEndian.PutUint64(word[:], uint64(value))
	_, err = memory.WriteAt(word[:], int64(address))
	return err
}

// Detach lets the process go and waits until that is done.
func (t *Debugger) Detach() {
	select {
	case t.work <- func() bool { return true }:
		<-t.done
	case <-t.done:
	}
}

// loop does what it is asked to and keeps the process's threads going meanwhile: a
// traced thread stops at each signal, and when it makes another thread.
func (t *Debugger) loop(ctx context.Context) {
	defer t.letGo()
	ticker := time.NewTicker(tracerTick)
	defer ticker.Stop()
	for {
		select {
		case work := <-t.work:
			if work() {
				return
			}
		case <-ticker.C:
			t.observe()
			t.thaw()
		case <-ctx.Done():
			return
		}
		if len(t.threads) == 0 {
			return
		}
	}
}

// seize attaches to all threads, until there is none that was missed.
func (t *Debugger) seize() error {
	for deadline := time.Now().Add(freezeTime); ; time.Sleep(tracerTick / 10) {
		tids, err := t.listed()
		if err != nil {
			return err
		}
		missed := 0
		for _, tid := range tids {
			if t.threads[tid] != nil {
				continue
			}
			missed++
			switch err := ptrace(unix.PTRACE_SEIZE, tid, 0, unix.PTRACE_O_TRACECLONE); {
			case err == nil:
				t.threads[tid] = &tracee{}
			case errors.Is(err, unix.ESRCH): // it has ended
			case errors.Is(err, unix.EPERM) && len(t.threads) > 0:
				// Made by a thread that is held already, so it is held too, and that thread's
				// stop, which is about to be seen, says so.
			case errors.Is(err, unix.EPERM) && t.dead():
				return errGone
			case errors.Is(err, unix.EPERM):
				return fmt.Errorf("the operating system does not let one program debug another (Yama's ptrace_scope, or a container's seccomp profile): %w", err)
			default:
				return err
			}
		}
		switch {
		case missed == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d threads of the process can't be held", missed)
		}
		t.observe()
		t.thaw()
	}
}

// dead tells whether the process has ended, even if nobody has asked yet how it did.
func (t *Debugger) dead() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
	}
	// The state follows the name, which is in parentheses and may hold others (proc(5)).
	_, state, _ := bytes.Cut(stat[max(0, bytes.LastIndexByte(stat, ')')):], []byte(" "))
	return bytes.HasPrefix(state, []byte("Z")) || bytes.HasPrefix(state, []byte("X"))
}

func (t *Debugger) listed() ([]int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", t.pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return nil, errGone
	} else if err != nil {
		return nil, err
	}
	tids := make([]int, 0, len(entries))
	for _, entry := range entries {
		tid, err := strconv.Atoi(entry.Name())
		if err != nil {
			return nil, err
		}
		tids = append(tids, tid)
	}
	slices.Sort(tids) // the process's first thread comes first
	return tids, nil
}

// freeze stops all threads.
func (t *Debugger) freeze() error {
	deadline := time.Now().Add(freezeTime)
	asked := map[int]bool{}
	for {
		t.observe()
		running := 0
		for tid, thread := range t.threads {
			if thread.stopped {
				continue
			}
			running++
			if !asked[tid] {
				asked[tid] = true
				_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0) // ESRCH: it is ending, and observe will see that
			}
		}
		switch {
		case len(t.threads) == 0:
			return errGone
		case running == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d threads of process %d do not stop", running, t.pid)
		}
		time.Sleep(tracerTick / 10)
	}
}

// thaw lets stopped threads go on and passes on the signals that stopped them.
func (t *Debugger) thaw() {
	for tid, thread := range t.threads {
		if thread.stopped {
			thread.stopped = false
			_ = ptrace(unix.PTRACE_CONT, tid, 0, uintptr(thread.signal)) // ESRCH: it was killed meanwhile
			thread.signal = 0
		}
	}
}

// letGo detaches from all threads. Where that fails, the end of this thread does it.
func (t *Debugger) letGo() {
	if err := t.freeze(); err != nil && len(t.threads) == 0 {
		return
	}
	for tid, thread := range t.threads {
		if thread.stopped {
			_ = ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(thread.signal))
		}
	}
	clear(t.threads)
}

// observe takes note of what happened to the threads, without waiting.
func (t *Debugger) observe() {
	for tid, thread := range t.threads {
		if !thread.stopped {
			t.look(tid, thread)
		}
	}
}

func (t *Debugger) look(tid int, thread *tracee) {
	// Without WEXITED for the first thread: its end is for the parent to collect.
	options := unix.WSTOPPED | unix.WNOHANG | unix.WALL
	if tid != t.pid {
		options |= unix.WEXITED
	}
	state, err := wait(tid, options)
	if err == nil && state.pid == 0 && tid == t.pid {
		// The kernel reports a tracee's stops even where only ends are asked for. One that
		// came in between is left for the next look.
		state, err = wait(tid, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG|unix.WALL)
		switch {
		case err == nil && state.pid != 0 && state.code == cldTrapped:
			return
		case err == nil && state.pid != 0:
			clear(t.threads) // the first thread's end is reported last
			return
		}
	}
	switch {
	case err != nil: // ECHILD: somebody else has collected it
		delete(t.threads, tid)
	case state.pid == 0: // nothing happened
	case state.code == cldTrapped:
		t.stop(tid, thread, unix.Signal(state.status&0xff), int(state.status>>8))
	case state.code == cldStopped:
	default:
		delete(t.threads, tid) // exited or killed
	}
}

// stop takes note of a stop (ptrace(2), "Stopped states").
func (t *Debugger) stop(tid int, thread *tracee, signal unix.Signal, event int) {
	thread.stopped = true
	switch event {
	case 0: // a signal is about to be delivered: pass it on
		thread.signal = int(signal)
	case unix.PTRACE_EVENT_CLONE:
		if child, err := unix.PtraceGetEventMsg(tid); err == nil && t.threads[int(child)] == nil {
			t.threads[int(child)] = &tracee{} // held from birth
		}
	case unix.PTRACE_EVENT_STOP:
		switch signal {
		case unix.SIGSTOP, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU:
			// Somebody stopped the whole process: it stays stopped, and we go on listening.
			thread.stopped = false
			_ = ptrace(unix.PTRACE_LISTEN, tid, 0, 0)
		}
	}
}

// childState is siginfo_t as waitid(2) fills it in, on 64-bit Linux.
type childState struct {
	signo, errno, code, _ int32
	pid                   int32
	uid                   uint32
	status                int32
	_                     [100]byte
}

const (
	cldTrapped = 4
	cldStopped = 5
)

func wait(tid, options int) (childState, error) {
	for {
		var state childState
		err := unix.Waitid(unix.P_PID, tid, (*unix.Siginfo)(unsafe.Pointer(&state)), options, nil)
		if !errors.Is(err, unix.EINTR) {
			return state, err
		}
	}
}

func ptrace(request, tid int, address, data uintptr) error {
	if _, _, errno := syscall.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), address, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
