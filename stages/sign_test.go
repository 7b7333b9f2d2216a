package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"keyladder/internal/testenv"
)

// curl sends the request that it is told to, whatever is in it.
func TestCurlOptions(t *testing.T) {
	t.Parallel()
	curl := testenv.Program(t, "curl")
	for _, test := range []struct{ method, body string }{
		{"GET", ""},
		{"HEAD", ""},
		{"POST", ""},
		{"DELETE", ""},
		{"POST", `{"reference":"a \"book\""}`},
		{"POST", "@- \\ \\n \t\v\r\n# x = \"y\"\n\u20ac"},
		{"PUT", "x"},
		{"GET", "x"},
	} {
		var method, body string
		var header http.Header
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			method, header, body = r.Method, r.Header, string(data)
		}))
		req, err := http.NewRequest(test.method, server.URL+"/v1/x?y=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", `Hawk id="a", mac="b\\c"`)
		req.Header.Set("Content-Type", "application/jose")
		req.Header["Two"] = []string{"1", "2"}
		command := exec.CommandContext(t.Context(), curl, "-sS", "--noproxy", "*", "-K", "-")
		command.Stdin = strings.NewReader(curlOptions(req, []byte(test.body)))
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%+v: %v\n%s", test, err, output)
		}
		server.Close()
		if method != test.method || body != test.body {
			t.Errorf("%+v: it sent %s %q", test, method, body)
		}
		for name, values := range req.Header {
			if got := strings.Join(header.Values(name), "|"); got != strings.Join(values, "|") {
				t.Errorf("%+v: %s is %s", test, name, got)
			}
		}
	}
}
