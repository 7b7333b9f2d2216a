package gateway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/backend/gateway"
	"keyladder/backend/guard"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/integrity"
)

// TestForward: a good call gets to the API with its body and query, without its tokens, and with who
// makes it. The answer comes back as it is.
func TestForward(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	w.answer(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.Header().Set("Location", "/x")
		rw.Header().Set("Connection", "X-Hop")
		rw.Header().Set("X-Hop", "1")
		rw.WriteHeader(http.StatusCreated)
		io.WriteString(rw, `{"id":1}`)
	})
	r := w.request(http.MethodPost, "/v1/transfers?pretty", `{"amount":1}`)
	r.Header.Set("Idempotency-Key", "once")
	r.Header.Set("Content-Type", "application/json")
	answer := w.do(r)
	if answer.Code != http.StatusCreated || answer.Body.String() != `{"id":1}` || answer.Header().Get("Location") != "/x" || answer.Header().Get("X-Hop") != "" {
		t.Fatalf("%d %v %s", answer.Code, answer.Header(), answer.Body)
	}
	calls := w.calls()
	if len(calls) != 1 || w.bodies[0] != `{"amount":1}` {
		t.Fatalf("the API has got %d calls, with %q", len(calls), w.bodies)
	}
	got := calls[0]
	if got.Method != http.MethodPost || got.RequestURI != "/"+stage+"/v1/transfers?pretty" || got.Header.Get("Idempotency-Key") != "once" ||
		got.Header.Get("Content-Type") != "application/json" || got.Header.Get("User-Agent") != "HarbourBank/3" || got.Header.Get(traffic.Header) != "one-exchange" {
		t.Errorf("it has got %s %s %v", got.Method, got.RequestURI, got.Header)
	}
	if got.Header.Get("Authorization") != "" || got.Header.Get(integrity.Field) != "" {
		t.Errorf("the caller's tokens come along: %v", got.Header)
	}
	said, err := w.said(got)
	if err != nil {
		t.Fatal(err)
	}
	if said.ClientID != app || said.Subject != "alice" || said.Scope != "accounts:read transfers:write" || said.Device != device {
		t.Errorf("the gateway says %+v", said)
	}
	if got.Header.Get("X-Forwarded-For") != "203.0.113.7" {
		t.Errorf("the address is %q", got.Header.Get("X-Forwarded-For"))
	}
	var ways []string
	for _, m := range w.log.After(0) {
		if m.Exchange != "one-exchange" {
			t.Errorf("a record is of the exchange %q", m.Exchange)
		}
		ways = append(ways, m.From+">"+m.To)
	}
	slices.Sort(ways)
	if want := "mediator>network mediator>network network>mediator network>mediator"; strings.Join(ways, " ") != want {
		t.Errorf("on record: %s, want %s", ways, want)
	}
}

// TestTrustFieldsAreStripped: whatever a caller writes into a field that somebody behind the gateway
// might believe, the API sees nothing of it.
func TestTrustFieldsAreStripped(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	r := w.request(http.MethodGet, "/v1/accounts", "")
	smuggled := []string{
		forwarded.Field, "forwarded_caller", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-User", "X-Forwarded-Uri",
		"X-Forwarded-Method", "X-Original-Uri", "X-Original-Method", "X-Original-Url", "X-Rewrite-Url", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Via",
		"Client-Cert", "Client-Cert-Chain", "X-Ssl-Client-Cert", "X-User", "X-Client-Id", "X-Authenticated-Userid", "X-Http-Method-Override", "Cookie", "App-Authorization",
		"Proxy-Authorization", "Te", "Upgrade", "Keep-Alive",
	}
	for _, name := range smuggled {
		r.Header[http.CanonicalHeaderKey(name)] = []string{"mallory"}
	}
	r.Header.Set("Connection", "Forwarded-Caller, X-Forwarded-For, Traffic-Id")
	if answer := w.do(r); answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	got := w.calls()[0]
	for name, values := range got.Header {
		if strings.Contains(fmt.Sprint(values), "mallory") {
			t.Errorf("%s gets through: %q", name, values)
		}
	}
	if said, err := w.said(got); err != nil || said.Subject != "alice" || len(got.Header[forwarded.Field]) != 1 {
		t.Errorf("the gateway says %+v, %v", said, err)
	}
	if got.Header.Get("X-Forwarded-For") != "203.0.113.7" {
		t.Errorf("the address is %q", got.Header.Get("X-Forwarded-For"))
	}
}

// TestRefusedAtTheGateway does not get to the API.
func TestRefusedAtTheGateway(t *testing.T) {
	t.Parallel()
	w := start(t, func(_ *gateway.Config, g *guard.Config) { g.Address = guard.Limit{PerSecond: 0.001, Burst: 3} })
	for _, test := range []struct {
		spoil  func(*http.Request)
		status int
		check  catalog.Check
	}{
		{func(r *http.Request) { r.Header.Del(integrity.Field) }, http.StatusUnauthorized, catalog.CheckIntegrity},
		{func(r *http.Request) { r.Header.Del("Authorization") }, http.StatusUnauthorized, catalog.CheckToken},
		{func(r *http.Request) { r.URL.Path = "/" + stage + "/v1/unknown" }, http.StatusNotFound, catalog.CheckToken}, // the check before
		{func(*http.Request) {}, http.StatusTooManyRequests, catalog.CheckAddressLimit},
	} {
		r := w.request(http.MethodGet, "/v1/accounts", "")
		test.spoil(r)
		if answer := w.do(r); answer.Code != test.status || w.refusedBy() != test.check {
			t.Errorf("%d %s, by %s; want %d by %s", answer.Code, answer.Body, w.refusedBy(), test.status, test.check)
		}
	}
	if calls := w.calls(); len(calls) != 0 {
		t.Errorf("%d calls got through", len(calls))
	}
}

// cut ends the connection when it is asked for the first times.
func cut(times int, begun string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		if times--; times < 0 {
			io.WriteString(rw, "[]")
			return
		}
		if begun != "" {
			rw.Header().Set("Content-Length", fmt.Sprint(len(begun)+10))
			io.WriteString(rw, begun)
			rw.(http.Flusher).Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

// TestSentAgain: once, where a call changes nothing and its connection failed, with another token. A
// call that may have been carried out is not.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		method, path, body string
		api                http.HandlerFunc
		status, calls      int
	}{
		"read, cut off once":         {http.MethodGet, "/v1/accounts", "", cut(1, ""), 200, 2},
		"read, half an answer":       {http.MethodGet, "/v1/accounts", "", cut(1, "[{"), 200, 2},
		"read, cut off twice":        {http.MethodGet, "/v1/accounts", "", cut(2, ""), 503, 2},
		"read, half an answer twice": {http.MethodGet, "/v1/accounts", "", cut(2, "[{"), 502, 2},
		"head, cut off once":         {http.MethodHead, "/v1/accounts", "", cut(1, ""), 200, 2},
		"booked, cut off":            {http.MethodPost, "/v1/transfers", "{}", cut(1, ""), 503, 1},
		"booked, half an answer":     {http.MethodPost, "/v1/transfers", "{}", cut(1, "{"), 502, 1},
		"booked without a body":      {http.MethodPost, "/v1/transfers", "", cut(1, ""), 503, 1},
		"read, an error of the API":  {http.MethodGet, "/v1/accounts", "", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) }, 500, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			if answer := w.do(w.request(http.MethodGet, "/v1/rates", "")); answer.Code != 200 { // the connection is one that was used
				t.Fatal(answer.Code)
			}
			w.answer(test.api)
			r := w.request(test.method, test.path, test.body)
			r.Header.Set("Idempotency-Key", "which has net/http send it again, if it may")
			answer := w.do(r)
			calls := w.calls()[1:]
			if answer.Code != test.status || len(calls) != test.calls {
				t.Fatalf("%d %s; the API has got %d calls", answer.Code, answer.Body, len(calls))
			}
			ids := map[string]bool{}
			for _, call := range calls {
				said, err := w.said(call)
				if err != nil || ids[said.ID] {
					t.Errorf("a call has %+v, %v", said, err)
				}
				ids[said.ID] = true
			}
			if test.status > 500 && w.refusedBy() != catalog.CheckUpstream {
				t.Errorf("on record by %q", w.refusedBy())
			}
			if test.status == 503 && answer.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

// TestSlow: an API that takes too long is not waited for, and is not asked again.
func TestSlow(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *gateway.Config, _ *guard.Config) { c.Patience = 50 * time.Millisecond })
	release := make(chan struct{})
	w.answer(func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	answer := w.do(w.request(http.MethodGet, "/v1/accounts", ""))
	if answer.Code != http.StatusGatewayTimeout || len(w.calls()) != 1 || w.refusedBy() != catalog.CheckUpstream {
		t.Errorf("%d %s, after %d calls, by %q", answer.Code, answer.Body, len(w.calls()), w.refusedBy())
	}
}

// TestDown: an API that is gone is found gone, in the background and by calls; calls are refused at
// once then, and served again when it is back.
func TestDown(t *testing.T) {
	t.Parallel()
	for name, watched := range map[string]bool{"in the background": true, "by calls": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			if answer := w.do(w.request(http.MethodGet, "/v1/accounts", "")); answer.Code != 200 {
				t.Fatal(answer.Code)
			}
			w.stop()
			if watched {
				w.watch()
			}
			until := func(what string, done func() bool) {
				t.Helper()
				for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatalf("%s: %+v", what, w.gateway.State())
					}
				}
			}
			until("it is not found gone", func() bool {
				if watched {
					return w.gateway.State().Down
				}
				answer := w.do(w.request(http.MethodGet, "/v1/accounts", ""))
				if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" || w.refusedBy() != catalog.CheckUpstream {
					t.Fatalf("%d %v, by %q", answer.Code, answer.Header(), w.refusedBy())
				}
				return w.gateway.State().Down
			})
			before := w.gateway.State()
			if answer := w.do(w.request(http.MethodPost, "/v1/transfers", "{}")); answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
				t.Errorf("%d %v", answer.Code, answer.Header())
			}
			if after := w.gateway.State(); after.Refused != before.Refused+1 || after.Failed != before.Failed {
				t.Errorf("before %+v, after %+v", before, after)
			}
			w.again()
			if !watched {
				w.watch()
			}
			until("it is not found again", func() bool { return !w.gateway.State().Down })
			if answer := w.do(w.request(http.MethodPost, "/v1/transfers", "{}")); answer.Code != http.StatusOK {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
}

// TestLongAnswers are passed on while they come. One that ends before it is complete ends the app's
// connection, too: it must not look complete.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	for name, complete := range map[string]bool{"complete": true, "not complete": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, nil)
			w.answer(func(rw http.ResponseWriter, _ *http.Request) {
				for range 64 {
					rw.Write(bytes.Repeat([]byte("x"), 4<<10))
					rw.(http.Flusher).Flush() // in chunks, so that nobody knows how many there are
				}
				if !complete {
					panic(http.ErrAbortHandler)
				}
			})
			front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				w.handler.ServeHTTP(rw, r.WithContext(guard.WithListener(r.Context(), guard.TLS)))
			}))
			defer front.Close()
			r := w.request(http.MethodGet, "/v1/accounts", "")
			asked, err := http.NewRequest(r.Method, front.URL+r.URL.Path, nil)
			if err != nil {
				t.Fatal(err)
			}
			asked.Header = r.Header
			response, err := http.DefaultClient.Do(asked)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if complete != (err == nil) || complete && len(body) != 256<<10 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		})
	}
}

// TestGone: a client that goes away says nothing about the API.
func TestGone(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	asked := make(chan struct{}, 1)
	w.answer(func(_ http.ResponseWriter, r *http.Request) { asked <- struct{}{}; <-r.Context().Done() })
	for range 5 {
		ctx, cancel := contextOf(w.request(http.MethodGet, "/v1/accounts", ""))
		go func() { <-asked; cancel() }()
		w.do(ctx)
	}
	if state := w.gateway.State(); state.Down || state.Failed != 0 {
		t.Errorf("%+v", state)
	}
}
