package phone_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// endless is a form with a package that has as many bytes as somebody reads.
func endless(size int64) (media string, body io.Reader) {
	const head = "--b\r\nContent-Disposition: form-data; name=\"package\"; filename=\"app.pkg\"\r\n\r\n"
	return "multipart/form-data; boundary=b", io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader("\r\n--b--\r\n"))
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// A package that is too large is refused, takes no memory and leaves nothing behind.
func TestLargeUpload(t *testing.T) { // alone: others use memory as well
	h := newHand(t)
	media, body := endless(129 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	status, page := h.send(t, http.MethodPost, "/settings/install", media, body)
	runtime.ReadMemStats(&after)
	if status != http.StatusRequestEntityTooLarge || !strings.Contains(page, "too large") {
		t.Errorf("%d: %s", status, page)
	}
	if used := int64(after.HeapSys) - int64(before.HeapSys); used > 64<<20 {
		t.Errorf("the heap grew by %d MiB", used>>20)
	}
	if left, err := filepath.Glob(h.folder.Path(".upload-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Packages arrive one at a time. A second one is refused at once meanwhile.
func TestUploadsOneAtATime(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	media, body := endless(1 << 20)
	slow, rest := io.Pipe()
	done := make(chan int, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.screen.URL+"/settings/install", slow)
		if err != nil {
			done <- 0
			return
		}
		req.Header.Set("Content-Type", media)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
		resp, err := h.client.Do(req)
		if err != nil {
			done <- 0
			return
		}
		resp.Body.Close()
		done <- resp.StatusCode
	}()
	if _, err := io.CopyN(rest, body, 512<<10); err != nil {
		t.Fatal(err)
	}
	// Sent is not received: the sockets may hold all of it. The first is under way when it is written.
	for begun := time.Now(); ; time.Sleep(time.Millisecond) {
		if files, err := filepath.Glob(h.folder.Path(".upload-*")); err != nil {
			t.Fatal(err)
		} else if len(files) > 0 {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatal("the first package does not arrive")
		}
	}
	status, page := h.upload(t, []byte("another package"))
	if status != http.StatusServiceUnavailable || !strings.Contains(page, "Another package is being installed") {
		t.Errorf("the second: %d", status)
	}
	if _, err := io.Copy(rest, body); err != nil {
		t.Fatal(err)
	}
	rest.Close()
	if status := <-done; status != http.StatusUnprocessableEntity { // it is no package, but it was looked at
		t.Errorf("the first: %d", status)
	}
	if status, _ := h.upload(t, []byte("another package")); status != http.StatusUnprocessableEntity {
		t.Errorf("afterwards: %d", status)
	}
}

// What a killed phone has left behind of a package goes at the next start.
func TestUploadsOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	h := newHand(t)
	path := h.folder.Path(".upload-123")
	if err := os.WriteFile(path, []byte("half a package"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.off(t)
	h.on(t, "")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}
