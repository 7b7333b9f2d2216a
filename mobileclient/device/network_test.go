package device

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"keyladder/internal/pki"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/release"
)

func newCA(t *testing.T, name string) *pki.CA {
	t.Helper()
	ca, err := pki.NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// echo sends lines back and tells from where they came.
func echo(t *testing.T) (address string, sources <-chan string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	from := make(chan string, 10)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			from <- host
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String(), from
}

func TestAppReachesTheNetwork(t *testing.T) {
	t.Parallel()
	address, sources := echo(t)
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	if got := do[string](t, app, "dial "+address); got != "from com.example.app\n" {
		t.Errorf("got %q", got)
	}
	<-sources
	waitFor(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.lines) == 0
	}, func() string { return "the connection is still there" })
	var seen []string
	for _, m := range d.config.Log.After(0) {
		seen = append(seen, fmt.Sprintf("%s %s>%s %s %s %q", m.Lane, m.From, m.To, m.Stage, m.Summary, m.Body))
	}
	want := []string{
		`network app>network app-id clear text, 21 bytes "from com.example.app\n"`,
		`network network>app app-id clear text, 21 bytes "from com.example.app\n"`,
	}
	if !slices.Equal(seen, want) {
		t.Errorf("seen: %q", seen)
	}

	const nobody = "127.0.0.1:1" // one that was free a moment ago somebody else may have taken
	if _, err := app.Account(t.Context(), "dial "+nobody); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestAccessPoint(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	asked := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		destination, _ := r.ReadString('\n')
		line, _ := r.ReadString('\n')
		asked <- destination + line
		fmt.Fprint(conn, "answered by the router")
	}()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	if err := d.SetNetwork(Network{AccessPoint: listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	if got := do[string](t, app, "dial bank.test:443"); got != "answered by the router" {
		t.Errorf("got %q", got)
	}
	if got, want := <-asked, "bank.test:443\nfrom com.example.app\n"; got != want {
		t.Errorf("the router got %q, want %q", got, want)
	}
}

func TestConnectionsEndWithTheNetwork(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	arrived := make(chan net.Conn, 1)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = bufio.NewReader(conn).ReadString('\n')
			arrived <- conn // and no answer
		}
	}()
	d := newDevice(t)
	app := launch(t, d, install(t, d, packaged(t, developer, release.Manifest{}, "")).Name)
	ended := make(chan error, 1)
	go func() {
		_, err := app.Account(context.Background(), "dial "+listener.Addr().String())
		ended <- err
	}()
	defer (<-arrived).Close()
	if err := d.SetNetwork(Network{AccessPoint: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the connection survived")
	}
}

func TestNotesOnTLS(t *testing.T) {
	t.Parallel()
	ca := newCA(t, "Workshop CA")
	pair, err := ca.Server("bank", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<title>Secret page</title>")
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	defer server.Close()
	d := newDevice(t, func(c *Config) { c.Roots = ca.Certificate })
	page, err := d.Agent().Open(t.Context(), server.URL, "tls")
	if err != nil {
		t.Fatal(err)
	}
	if page.Title != "Secret page" {
		t.Errorf("page: %+v", page)
	}
	var summaries []string
	for _, m := range d.config.Log.After(0) {
		if m.Lane == traffic.Network {
			if strings.Contains(string(m.Body), "Secret") {
				t.Error("the network sees the page")
			}
			kind, _, _ := strings.Cut(m.Summary, ",")
			if strings.HasSuffix(kind, "Hello)") && len(m.Body) != m.Size {
				t.Errorf("of a %s of %d bytes, %d are kept", kind, m.Size, len(m.Body))
			}
			summaries = append(summaries, kind)
		}
	}
	for _, want := range []string{"TLS handshake (ClientHello)", "TLS handshake (ServerHello)", "TLS application data"} {
		if !slices.Contains(summaries, want) {
			t.Errorf("no %s among %q", want, summaries)
		}
	}

	strange := newDevice(t)
	var unknown *tls.CertificateVerificationError
	if _, err := strange.Agent().Open(t.Context(), server.URL, "tls"); !errors.As(err, &unknown) {
		t.Errorf("an unknown CA: %v", err)
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	record := "\x17\x03\x03\x00\x05abcde"
	get := "GET / HTTP/1.1\r\nHost: bank\r\ntraffic-id: T1\r\n\r\n"
	for _, test := range []struct {
		name   string
		pieces []string
		want   []string
	}{
		{"clear text", []string{get, "more"}, []string{"T1 GET / HTTP/1.1", "T1 clear text, 4 bytes"}},
		{"a record in one piece", []string{record}, []string{"first TLS application data, 5 bytes"}},
		{"a record byte by byte", strings.Split(record, ""), []string{"first TLS application data, 5 bytes"}},
		{"two records in a piece", []string{record + record}, []string{"first TLS application data, 5 bytes", "first TLS application data, 5 bytes"}},
		{"a record of one byte", []string{"\x14\x03\x03\x00\x01\x01"}, []string{"first TLS change cipher spec, 1 byte"}},
		{"clear text of one byte", []string{"x"}, []string{"first clear text, 1 byte"}},
		{"TLS after CONNECT", []string{"CONNECT bank:443 HTTP/1.1\r\n\r\n", record}, []string{"first CONNECT bank:443 HTTP/1.1", "first TLS application data, 5 bytes"}},
		{"clear text that begins like a record", []string{"\x17hello, world"}, []string{"first clear text, 13 bytes"}},
		{"a record that is too long", []string{"\x17\x03\x03\xff\xff"}, []string{"first clear text, 5 bytes"}},
		{"a ClientHello", []string{"\x16\x03\x01\x00\x04\x01\x00\x00\x00"}, []string{"first TLS handshake (ClientHello), 4 bytes"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := &notes{log: traffic.New("phone", 100), participant: "app", exchange: "first"}
			for _, piece := range test.pieces {
				n.sent([]byte(piece))
			}
			var got []string
			for _, m := range n.log.After(0) {
				got = append(got, m.Exchange+" "+m.Summary)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzNotes feeds what anybody can send to the part of the device that looks at it,
// cut up in any way: it must not fall over, and must not lose a byte of clear text.
func FuzzNotes(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nTraffic-Id: x\r\n\r\n"), 3)
	f.Add([]byte("\x16\x03\x01\x00\x04\x01\x00\x00\x00\x17\x03\x03\x00\x01a"), 1)
	f.Fuzz(func(t *testing.T, data []byte, piece int) {
		n := &notes{log: traffic.New("phone", 4096), participant: "app"}
		size := max(1, min(piece, 1000))
		for chunk := range slices.Chunk(data, size) {
			n.sent(chunk)
		}
		noted := len(n.out.header)
		for _, m := range n.log.After(0) {
			noted += m.Size
			if strings.HasPrefix(m.Summary, "TLS ") && !strings.Contains(m.Summary, "clear text") {
				noted += recordHeader
			}
		}
		if n.out.left > 0 {
			return // a record is still arriving
		}
		if len(data) < 4096 && noted != len(data) {
			t.Errorf("%d bytes went by, %d were noted", len(data), noted)
		}
	})
}

func TestAgentSignsIn(t *testing.T) {
	t.Parallel()
	var mux http.ServeMux
	mux.HandleFunc("GET /start", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "s1", Path: "/"})
		http.Redirect(w, r, "/login?for=app", http.StatusFound)
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>Sign in</title><style>p{}</style><p>Who are <b>you</b>?
			<form method=post action="login#here"><input type=hidden name=csrf value="t&amp;1"><input name=user><input type=password name=password>
			<input type=checkbox name=stay checked><input type=checkbox name=news value=yes>
			<select name=lang><option value=de>Deutsch<option value=en selected>English</select><textarea name=note>none</textarea>
			<button name=action value=allow>Allow</button></form><a href="/help">Help</a>`)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		if err != nil || cookie.Value != "s1" || r.Header.Get("Origin") == "" {
			http.Error(w, "no session", http.StatusForbidden)
			return
		}
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Location", "com.example.app://done?"+url.Values{"form": {r.PostForm.Encode()}}.Encode()+"#token=1")
		w.WriteHeader(http.StatusSeeOther)
	})
	mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	server := httptest.NewServer(&mux)
	defer server.Close()

	d := newDevice(t)
	agent := d.Agent()
	var seen []string
	agent.Spy(func(address string) { seen = append(seen, address) })
	page, err := agent.Open(t.Context(), server.URL+"/start#frag", "app-id")
	if err != nil {
		t.Fatal(err)
	}
	if page.Title != "Sign in" || page.URL != server.URL+"/login?for=app#frag" || !strings.Contains(page.Text, "Who are you ?") || strings.Contains(page.Text, "p{}") {
		t.Errorf("page: %+v", page)
	}
	if len(page.Forms) != 1 || !slices.Equal(page.Links, []Link{{"Help", server.URL + "/help"}}) {
		t.Fatalf("forms %+v, links %q", page.Forms, page.Links)
	}
	allow := Button{Name: "action", Value: "allow", Label: "Allow"}
	if !slices.Equal(page.Forms[0].Buttons, []Button{allow}) {
		t.Errorf("buttons %+v", page.Forms[0].Buttons)
	}
	values := url.Values{"user": {"alice"}, "password": {"secret"}}
	if _, err := agent.Submit(t.Context(), page, page.Forms[0], url.Values{"nothing": {"x"}}, allow); !errors.Is(err, ErrNoField) {
		t.Errorf("a field that is not there: %v", err)
	}
	lost, err := agent.Submit(t.Context(), page, page.Forms[0], values, allow)
	if err != nil || !lost.Unclaimed || lost.App != "" || !strings.HasPrefix(lost.URL, "com.example.app://done?") || lost.Title == "" || !strings.Contains(lost.Text, "com.example.app:") || strings.Contains(lost.Text, "form=") {
		t.Errorf("no app claims the scheme: %+v, %v", lost, err)
	}

	// A spy sees where it goes, fragments too, and not what is typed.
	if want := []string{server.URL + "/start#frag", server.URL + "/login?for=app#frag", server.URL + "/login", lost.URL}; !slices.Equal(seen, want) {
		t.Errorf("the spy saw %q, want %q", seen, want)
	}
	agent.Spy(nil)

	name := install(t, d, packaged(t, developer, release.Manifest{Schemes: []string{"com.example.app"}}, "")).Name
	agent.Confirm(func(address string) bool { return !strings.HasPrefix(address, "com.example.app:") })
	kept, err := agent.Submit(t.Context(), page, page.Forms[0], values, allow)
	if err != nil || kept.App != "" || kept.Unclaimed || kept.URL != lost.URL || strings.Contains(kept.Text, "form=") {
		t.Errorf("a link that the phone's owner keeps: %+v, %v", kept, err)
	}
	agent.Confirm(nil)
	done, err := agent.Submit(t.Context(), page, page.Forms[0], values, allow)
	if err != nil {
		t.Fatal(err)
	}
	if done.App != name || agent.Current() != done || len(seen) != 4 {
		t.Errorf("ended at %+v", done)
	}
	got, err := url.Parse(do[string](t, launch(t, d, name), "load url"))
	if err != nil {
		t.Fatal(err)
	}
	want := "action=allow&csrf=t%261&lang=en&note=none&password=secret&stay=on&user=alice"
	if form := got.Query().Get("form"); form != want || got.Fragment != "token=1" {
		t.Errorf("the app was handed %q, fragment %q; want %q", form, got.Fragment, want)
	}
	if _, err := agent.Open(t.Context(), server.URL+"/loop", ""); !errors.Is(err, ErrRedirects) {
		t.Errorf("a loop: %v", err)
	}
}

func TestSchemeOfSeveralApps(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.first", Schemes: []string{"pay"}}, ""))
	install(t, d, packaged(t, developer, release.Manifest{Name: "com.example.second", Schemes: []string{"pay", "buy"}}, ""))
	if claimants := d.Claimants("PAY"); len(claimants) != 2 || claimants[0].Name != "com.example.second" {
		t.Errorf("claimants: %v", claimants)
	}
	app := launch(t, d, "com.example.first")
	do[any](t, app, "browse pay://now") // asked by one app, answered by the other
	if got := do[string](t, launch(t, d, "com.example.second"), "load url"); got != "pay://now" {
		t.Errorf("handed over: %q", got)
	}
	if _, err := app.Account(t.Context(), "load url"); err == nil {
		t.Error("the first app got it as well")
	}
	if _, err := app.Account(t.Context(), "browse javascript:alert(1)"); err == nil {
		t.Error("somebody opened a script")
	}
}

// FuzzPage feeds pages of strangers to the user agent.
func FuzzPage(f *testing.F) {
	f.Add("text/html", `<title>T</title><form method=post action="/x"><input name=a><select name=b><option>c</select></form><a href="y">z</a>`)
	f.Add("text/plain", "hello")
	base := &url.URL{Scheme: "https", Host: "bank.test", Path: "/login"}
	f.Fuzz(func(t *testing.T, media, body string) {
		var page Page
		page.read(media, []byte(body), base)
		for _, form := range page.Forms {
			if _, err := url.Parse(form.Action); err != nil || form.Method != http.MethodGet && form.Method != http.MethodPost {
				t.Errorf("a form that can't be submitted: %+v, %v", form, err)
			}
		}
	})
}
