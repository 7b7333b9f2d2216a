package main

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"keyladder/internal/testenv"
	"keyladder/stages/protect"
)

// curl sends the request that it is told to, whatever is in it.
func TestCurlOptions(t *testing.T) {
	t.Parallel()
	curl := testenv.Program(t, "curl")
	for _, test := range []struct{ method, body, path string }{
		{"GET", "", ""},
		{"HEAD", "", ""},
		{"POST", "", ""},
		{"DELETE", "", ""},
		{"POST", `{"reference":"a \"book\""}`, ""},
		{"POST", "@- \\ \\n \t\v\r\n# x = \"y\"\n\u20ac", ""},
		{"PUT", "x", ""},
		{"GET", "x", ""},
		{"GET", "", "/v1/a[1-3]{b,c}"},
		{"GET", "", "/v1/./a/../b?of=[1-3]&and={b,c}"},
		{"POST", "x", "/v1//a%2Fb/..%2f"},
	} {
		var method, target, body string
		var header http.Header
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			method, target, header, body = r.Method, r.RequestURI, r.Header, string(data)
		}))
		address, err := url.Parse(server.URL + cmp.Or(test.path, "/v1/x?y=1"))
		if err != nil {
			t.Fatal(err)
		}
		req := protect.Request{Method: test.method, URL: address, Body: []byte(test.body), Header: http.Header{
			"Authorization": {`Hawk id="a", mac="b\\c"`}, "Content-Type": {"application/jose"}, "Two": {"1", "2"},
		}}
		command := exec.CommandContext(t.Context(), curl, "-sS", "--noproxy", "*", "-K", "-")
		command.Stdin = strings.NewReader(curlOptions(req))
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%+v: %v\n%s", test, err, output)
		}
		server.Close()
		if method != test.method || target != address.RequestURI() || body != test.body {
			t.Errorf("%+v: it sent %s %s %q", test, method, target, body)
		}
		for name, values := range req.Header {
			if got := strings.Join(header.Values(name), "|"); got != strings.Join(values, "|") {
				t.Errorf("%+v: %s is %s", test, name, got)
			}
		}
	}
}
