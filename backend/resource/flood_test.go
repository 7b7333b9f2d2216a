package resource_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"keyladder/backend/resource"
	"keyladder/internal/feed"
	"keyladder/internal/testenv"
	"keyladder/internal/traffic"
)

// TestFloodDoesNotBlindReaders: a stranger's refused requests, each as large as a server reads
// and of bytes that JSON makes six of, stay in bounds where they are recorded, and whoever
// follows the records comes to what happened after them.
func TestFloodDoesNotBlindReaders(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	log := traffic.New("resource", 4096)
	r := start(t, func(c *resource.Config) { c.Log = log })
	ctx := t.Context()
	before := testenv.Must[feed.Cursor](t)(r.admin.TrafficEnd(ctx))
	filler := strings.Repeat("\xff", 12_000)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	const requests = 2100
	for range requests {
		request := testenv.Must[*http.Request](t)(http.NewRequest(http.MethodGet, r.plain+"/app-id/v1/rates", nil))
		request.Header.Set("User-Agent", "curl/8")
		request.Header.Set("X-Filler", filler)
		answer := testenv.Must[*http.Response](t)(transport.RoundTrip(request))
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusForbidden {
			t.Fatalf("%s, %v", answer.Status, err)
		}
		answer.Body.Close()
	}
	if status := r.status(t, r.plain+"/app-id/v1/rates", mobile, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	if log.Bytes() > traffic.MaxBytes {
		t.Errorf("%d bytes are kept", log.Bytes())
	}
	page := testenv.Must[feed.Page[traffic.Message]](t)(r.admin.Traffic(ctx, before))
	n := len(page.Entries)
	if last := page.Entries[n-1]; last.Summary != "200 OK" || page.Cut+uint64(n) != 2*(requests+1) || page.Cut == 0 {
		t.Errorf("%d records were told and %d are cut, the last is %q", n, page.Cut, last.Summary)
	}
	if head := page.Entries[n-4].Head; !strings.Contains(head, "\nX-Filler: \xff\xff") {
		t.Errorf("the stranger's bytes are changed: %.200q", head)
	}
}
