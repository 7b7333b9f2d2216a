package hawk_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/hawk"
)

// TestJavaScript is the other implementation's opinion of ours: the npm packages hawk
// and @hapi/hawk, each as the client of our server and the server of our client.
// It needs Node.js and the npm registry; without them it is skipped, or fails, if
// KEYLADDER_CI is 1.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	modules := testenv.NPM(t)

	t.Run("their client, our server", func(t *testing.T) {
		t.Parallel()
		testTheirClient(t, modules)
	})
	t.Run("our client, their server", func(t *testing.T) {
		t.Parallel()
		testTheirServer(t, modules)
	})
}

func node(t *testing.T, modules, script string, args ...string) *exec.Cmd {
	command := exec.CommandContext(t.Context(), "node", append([]string{filepath.Join("testdata", script)}, args...)...)
	command.Env = append(os.Environ(), "NODE_PATH="+modules)
	command.Stderr = os.Stderr
	return command
}

func testTheirClient(t *testing.T, modules string) {
	v := verifier()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		received, err := v.Verify(r, body, time.Now())
		if err != nil {
			status, authenticate := hawk.Refusal(err)
			if authenticate != "" {
				w.Header().Set("WWW-Authenticate", authenticate)
			}
			w.WriteHeader(status)
			return
		}
		answer := fmt.Appendf(nil, "%s %s %s %s", r.Method, r.RequestURI, received.Ext, body)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := received.SignResponse(w.Header(), answer, "from Go"); err != nil {
			t.Error(err)
		}
		if _, err := w.Write(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	v.Host, v.Port = hostPort(t, server.URL)

	type credentials struct {
		ID  string `json:"id"`
		Key string `json:"key"`
	}
	type call struct {
		URL         string      `json:"url"`
		Method      string      `json:"method"`
		Body        string      `json:"body,omitempty"`
		ContentType string      `json:"contentType,omitempty"`
		Ext         string      `json:"ext,omitempty"`
		App         string      `json:"app,omitempty"`
		Dlg         string      `json:"dlg,omitempty"`
		Offset      int         `json:"localtimeOffsetMsec,omitempty"`
		Credentials credentials `json:"credentials"`
	}
	genuine := credentials{id, key}
	for _, test := range []struct {
		name   string
		call   call
		status int
		body   string
		theirs string // what their client read in WWW-Authenticate
	}{
		{"GET", call{Method: "GET", URL: "/v1/accounts", Credentials: genuine}, 200, "GET /v1/accounts  ", ""},
		{"query", call{Method: "GET", URL: "/v1/accounts?b=1&a=%20%2F", Credentials: genuine}, 200, "GET /v1/accounts?b=1&a=%20%2F  ", ""},
		{"trailing question mark", call{Method: "GET", URL: "/v1/accounts?", Credentials: genuine}, 200, "GET /v1/accounts?  ", ""},
		{"ext", call{Method: "DELETE", URL: "/", Ext: "some-app-ext-data", Credentials: genuine}, 200, "DELETE / some-app-ext-data ", ""},
		{"body", call{Method: "POST", URL: "/v1/transfers", Body: order, ContentType: "Application/JSON; charset=utf-8", Credentials: genuine}, 200, "POST /v1/transfers  " + order, ""},
		{"body beyond ASCII", call{Method: "PUT", URL: "/", Body: "Übërweisung €", ContentType: "text/plain", Credentials: genuine}, 200, "PUT /  Übërweisung €", ""},
		{"app and dlg", call{Method: "GET", URL: "/", App: "hf48hd83qwkj", Dlg: "d8djwekds9cj", Credentials: genuine}, 200, "GET /  ", ""},
		{"unknown", call{Method: "GET", URL: "/", Credentials: credentials{"nobody", key}}, 401, "", "Unknown credentials"},
		{"another key", call{Method: "GET", URL: "/", Credentials: credentials{id, "guess"}}, 401, "", "Bad mac"},
		{"late", call{Method: "GET", URL: "/", Offset: -600_000, Credentials: genuine}, 401, "", "Stale timestamp"},
		{"early", call{Method: "GET", URL: "/", Offset: 600_000, Credentials: genuine}, 401, "", "Stale timestamp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.call.URL = server.URL + test.call.URL
			input, err := json.Marshal(test.call)
			if err != nil {
				t.Fatal(err)
			}
			command := node(t, modules, "client.js")
			command.Stdin = bytes.NewReader(input)
			out, err := command.Output()
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Status  int
				Body    string
				Refused string // what their client holds against the response
				Headers struct {
					Challenge struct{ Error, TS, TSM string } `json:"www-authenticate"`
					Answer    struct{ MAC, Hash, Ext string } `json:"server-authorization"`
				}
			}
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got.Status != test.status || got.Body != test.body || got.Refused != "" || got.Headers.Challenge.Error != test.theirs {
				t.Errorf("got %s", out)
			}
			if test.status == 200 && got.Headers.Answer.Ext != "from Go" {
				t.Errorf("their client did not read our Server-Authorization: %s", out)
			}
			if test.theirs == "Stale timestamp" && got.Headers.Challenge.TSM == "" {
				t.Errorf("their client did not read the time: %s", out)
			}
		})
	}
}

func testTheirServer(t *testing.T, modules string) {
	for _, test := range []struct {
		name, method, target, body, ext string
		change                          func(*hawk.Client)
		ahead                           time.Duration // the server's clock
		status                          int
	}{
		{name: "GET", method: "GET", target: "/v1/accounts", status: 200},
		{name: "query", method: "GET", target: "/v1/accounts?b=1&a=%20%2F", status: 200},
		{name: "trailing question mark", method: "GET", target: "/v1/accounts?", status: 200},
		{name: "ext", method: "DELETE", target: "/", ext: "some-app-ext-data", status: 200},
		{name: "body", method: "POST", target: "/v1/transfers", body: order, status: 200},
		{name: "body beyond ASCII", method: "PUT", target: "/", body: "Übërweisung €", status: 200},
		{name: "another key", method: "GET", target: "/", change: func(c *hawk.Client) { c.Credentials.Key = "guess" }, status: 401},
		{name: "another host", method: "GET", target: "/", change: func(c *hawk.Client) { c.Host = "evil.test" }, status: 401},
		{name: "another clock", method: "GET", target: "/", ahead: 10 * time.Minute, status: 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client()
			base := theirServer(t, modules, c, test.ahead)
			if test.change != nil {
				test.change(c)
			}
			call := func() (*http.Response, []byte, *hawk.Sent) {
				req, err := http.NewRequestWithContext(t.Context(), test.method, base+test.target, strings.NewReader(test.body))
				if err != nil {
					t.Fatal(err)
				}
				if test.body != "" {
					req.Header.Set("Content-Type", "application/json")
				}
				sent, err := c.Sign(req, []byte(test.body), test.ext, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				answer, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return resp, answer, sent
			}
			resp, answer, sent := call()
			if resp.StatusCode != test.status {
				t.Fatalf("%s %s", resp.Status, answer)
			}
			if test.ahead != 0 {
				if err := c.Learn(resp.StatusCode, resp.Header, time.Now()); err != nil {
					t.Fatalf("%v: %v", err, resp.Header)
				}
				resp, answer, sent = call()
				if resp.StatusCode != http.StatusOK {
					t.Fatalf("signed for the server's time: %s %s", resp.Status, answer)
				}
			}
			ext, err := sent.CheckResponse(resp.Header, answer)
			if resp.StatusCode != http.StatusOK {
				if !errors.Is(err, hawk.ErrUnsigned) {
					t.Errorf("a refusal: got %v, want %v", err, hawk.ErrUnsigned)
				}
				return
			}
			if err != nil || ext != "from JavaScript" {
				t.Errorf("got %q, %v", ext, err)
			}
			var got struct{ Method, Target, Body, Ext string }
			if err := json.Unmarshal(answer, &got); err != nil {
				t.Fatal(err)
			}
			if got.Method != test.method || got.Target != test.target || got.Body != test.body || got.Ext != test.ext {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// theirServer starts a server that has the client's settings.
func theirServer(t *testing.T, modules string, c *hawk.Client, ahead time.Duration) (base string) {
	t.Helper()
	settings, err := json.Marshal(map[string]any{
		"id": c.Credentials.ID, "key": c.Credentials.Key, "host": c.Host, "port": c.Port,
		"localtimeOffsetMsec": ahead.Milliseconds(),
	})
	if err != nil {
		t.Fatal(err)
	}
	command := node(t, modules, "server.js", string(settings))
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		input.Close()
		if err := command.Wait(); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	port, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatalf("the server did not start: %v", err)
	}
	return "http://" + net.JoinHostPort("127.0.0.1", strings.TrimSpace(port))
}

func hostPort(t *testing.T, base string) (string, int) {
	t.Helper()
	address, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(address.Port())
	if err != nil {
		t.Fatal(err)
	}
	return address.Hostname(), port
}
