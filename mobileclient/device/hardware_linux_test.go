package device

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/jwk"
)

// inMemory are those needles that are in the memory which a process can write to.
func inMemory(t *testing.T, pid int, needles map[string][]byte) map[string]bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	const piece, overlap, reserved = 1 << 20, 64, 1 << 30
	found, searched := map[string]bool{}, 0
	buffer := make([]byte, piece+overlap)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &rights); err != nil || !strings.HasPrefix(rights, "rw") || to-from > reserved {
			continue // as the race detector reserves addresses
		}
		for ; from < to; from += piece {
			n, _ := file.ReadAt(buffer[:min(to-from, piece+overlap)], from) // what is not there, no key is in
			searched += n
			for what, needle := range needles {
				found[what] = found[what] || bytes.Contains(buffer[:n], needle)
			}
		}
	}
	if searched < piece {
		t.Errorf("%d bytes of process %d could be searched", searched, pid)
	}
	return found
}

// TestNoKeyOutsideTheHardware searches the app's memory and all that the device has written outside of
// its hardware, while the app signs, and the hardware's own memory, in which the same search finds them.
func TestNoKeyOutsideTheHardware(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := newDevice(t, func(c *Config) { c.Dir = dir }, newMaker(t).equip(t))
	name := install(t, d, packaged(t, developer, release.Manifest{}, "")).Name
	app := launch(t, d, name)
	key(t, app)
	do[string](t, app, "evidence "+session)
	do[any](t, app, "store key value")
	needles := secrets(t, dir)

	public := do[jwk.Key](t, app, "key") // which the search finds
	point, err := public.Public().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	needles["the public key"] = []byte(base64.RawURLEncoding.EncodeToString(point[1:33]))
	for what, found := range inMemory(t, app.PID(), needles) {
		if found != (what == "the public key") {
			t.Errorf("%s is in the app's memory: %v", what, found)
		}
	}
	delete(needles, "the public key")
	files := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path == HardwareFolder(dir):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(path)
		files++
		for what, needle := range needles {
			for _, written := range [][]byte{needle, []byte(hex.EncodeToString(needle)), []byte(base64.StdEncoding.EncodeToString(needle)), []byte(base64.RawURLEncoding.EncodeToString(needle))} {
				if bytes.Contains(data, written) {
					t.Errorf("%s is in %s", what, path)
				}
			}
		}
		return err
	})
	if err != nil || files < 3 { // the package, the device's state, what the app stored
		t.Errorf("%d files, %v", files, err)
	}
	backup, err := d.Backup(name)
	if err != nil || len(backup) == 0 {
		t.Errorf("%d values, %v", len(backup), err)
	}

	d.secure.mu.Lock()
	pid := d.secure.cmd.Process.Pid
	d.secure.mu.Unlock()
	if os.Geteuid() != 0 {
		if _, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid)); err == nil {
			t.Error("somebody who is not root can look into the hardware")
		}
		return
	}
	there := inMemory(t, pid, needles)
	for _, what := range []string{"the device's key", "the app's key"} {
		if !there[what] && !there[what+", the other way round"] {
			t.Errorf("the search does not find %s where it is", what)
		}
	}
}

// TestADebuggedAppIsInEvidence: the system sees it, and asks nobody whether it is so.
func TestADebuggedAppIsInEvidence(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	d := newDevice(t, m.equip(t))
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	attached, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // and not unlocked: the debugger is gone when this thread is
		attached <- unix.PtraceSeize(app.PID())
		<-done
	}()
	err := <-attached
	defer close(done)
	if err != nil {
		t.Fatal(err)
	}
	if c := m.evidence(t, app); c.Debug != evidence.DebugEnabled {
		t.Errorf("dbgstat is %s", c.Debug)
	}
}
