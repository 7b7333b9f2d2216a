package bench

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// TestGiveWay looks at all threads of this process. It changes them all, so no other test runs meanwhile.
func TestGiveWay(t *testing.T) {
	count := func(policy uint32) (threads int) {
		found, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range found {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				t.Fatal(err)
			}
			if attributes, err := unix.SchedGetAttr(id, 0); err == nil && attributes.Policy == policy {
				threads++
			}
		}
		return threads
	}
	if count(unix.SCHED_NORMAL) == 0 {
		t.Skip("this process is not scheduled as others are")
	}
	undo := giveWay()
	if normal, batch := count(unix.SCHED_NORMAL), count(unix.SCHED_BATCH); normal != 0 || batch == 0 {
		t.Errorf("%d threads still interrupt others, %d do not", normal, batch)
	}
	undo()
	if batch := count(unix.SCHED_BATCH); batch != 0 {
		t.Errorf("%d threads still give way", batch)
	}
}
