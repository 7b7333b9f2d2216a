package resource_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
)

// exchange writes bytes to a listener, all of them before it reads, and reads one answer.
func exchange(t *testing.T, r *running, url, head string, body io.Reader) *http.Response {
	t.Helper()
	var conn net.Conn
	if address, ok := strings.CutPrefix(url, "https://"); ok {
		client := r.clients[mobile]
		conn = testenv.Must[*tls.Conn](t)(tls.Dial("tcp", address, &tls.Config{RootCAs: r.roots, ServerName: "localhost", Certificates: []tls.Certificate{client}}))
	} else {
		conn = testenv.Must[net.Conn](t)(net.Dial("tcp", strings.TrimPrefix(url, "http://")))
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(conn, body); err != nil {
		t.Fatalf("the server does not take all that is sent: %v", err)
	}
	answer := testenv.Must[*http.Response](t)(http.ReadResponse(bufio.NewReader(conn), nil))
	content := testenv.Must[[]byte](t)(io.ReadAll(answer.Body))
	answer.Body = io.NopCloser(strings.NewReader(string(content)))
	return answer
}

// zeros is a body of a size.
func zeros(size int64) io.Reader { return io.LimitReader(zero{}, size) }

type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestTooLargeIsTold to clients that send all of a body before they read. What is far beyond
// every limit is cut off.
func TestTooLargeIsTold(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const size = 5 << 20
	head := "POST /app-id/v1/transfers HTTP/1.1\r\nHost: localhost\r\nUser-Agent: HarbourBank/1.0\r\nAuthorization: key " + mobile + "\r\n"
	for name, call := range map[string]struct {
		head string
		body io.Reader
	}{
		"of a known length": {fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, size), zeros(size)},
		"in chunks": {head + "Transfer-Encoding: chunked\r\n\r\n", io.MultiReader(
			strings.NewReader(fmt.Sprintf("%x\r\n", size)), zeros(size), strings.NewReader("\r\n0\r\n\r\n"))},
	} {
		t.Run(name, func(t *testing.T) {
			if answer := exchange(t, r, r.plain, call.head, call.body); answer.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s", answer.Status)
			}
		})
	}
}

// TestContentCodings are not read, and so not booked.
func TestContentCodings(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	body := order("1", "coded")
	for coding, want := range map[string]int{"gzip": 415, "identity": 201} {
		head := fmt.Sprintf("POST /app-id/v1/transfers HTTP/1.1\r\nHost: localhost\r\nUser-Agent: HarbourBank/1.0\r\nAuthorization: key %s\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n",
			mobile, coding, len(body))
		answer := exchange(t, r, r.plain, head, strings.NewReader(body))
		if answer.StatusCode != want || want == 415 && answer.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%s: %s, %v", coding, answer.Status, answer.Header)
		}
	}
}

// TestAbsoluteForm is how proxies are asked, and servers have to answer, too (RFC 9112, section
// 3.2.2).
func TestAbsoluteForm(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for _, stage := range []string{"hmac", "hidden-secrets", "user-session"} {
		call := r.call(mobile, stage, http.MethodGet, "/v1/rates", "")
		prepare(r.server, call)
		var head strings.Builder
		fmt.Fprintf(&head, "GET https://localhost:8443%s HTTP/1.1\r\nHost: localhost:8443\r\n", call.URL.Path)
		if err := call.Header.Write(&head); err != nil {
			t.Fatal(err)
		}
		if answer := exchange(t, r, r.tls, head.String()+"\r\n", strings.NewReader("")); answer.StatusCode != http.StatusOK {
			content := testenv.Must[[]byte](t)(io.ReadAll(answer.Body))
			t.Errorf("%s: %s %s", stage, answer.Status, content)
		}
	}
}
