package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"keyladder/internal/traffic"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	basic "keyladder/stages/mechanism/session"
)

// signed is a request as the app makes it at stage 6.
func signed(t *testing.T) (head, body string) {
	t.Helper()
	keys, err := sealed.DeriveKeys("a secret")
	must(t, err)
	content, err := keys.Requests.Seal([]byte(`{"to":"HB-2001"}`), "application/json")
	must(t, err)
	header := http.Header{}
	must(t, basic.SetBasic(header, "alice", "open sesame"))
	proof := hawk.Header{ID: "harbour-mobile", Timestamp: "1353832234", Nonce: "j4h3g2", Hash: "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=", MAC: "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="}
	return "POST /user-session/v1/session HTTP/1.1\r\nApp-Authorization: " + proof.String() + "\r\nAuthorization: " + header.Get("Authorization") + "\r\nContent-Type: application/jose\r\n\r\n", string(content)
}

func TestProofsAreLaidOut(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	head, body := signed(t)
	add := func(m traffic.Message) {
		m.Size = len(m.Body)
		set.bank.log.Add(m)
	}
	add(traffic.Message{Lane: traffic.Server, Stage: "user-session", Kind: traffic.Request, Summary: "POST /user-session/v1/session", Head: head, Body: []byte(body)})
	add(traffic.Message{Lane: traffic.Server, Kind: traffic.Response, Summary: "401 Unauthorized", Head: "HTTP/1.1 401 Unauthorized\n" +
		`WWW-Authenticate: Hawk ts="1353832300", tsm="2mw1eh/qXzl0wJZ/E6XvBhRMEJN7L3j8AyMA8eItEb0=", error="Stale timestamp"` + "\n" +
		`Server-Authorization: Hawk mac="n14wVJK4cOxAytPUMc5bPezQzuJGl5n7MYXhFQgEKsE=", hash="f9cDF/TDm7TkYRLnGwRMfeDzT6LixQVLvrIKhh0vgmM="`})
	add(traffic.Message{Lane: traffic.Network, Kind: traffic.Bytes, Summary: "clear text", Body: []byte(head)})
	add(traffic.Message{Lane: traffic.Server, Kind: traffic.Response, Summary: "200 OK", Body: []byte(body[:len(body)-30])}) // cut off in the ciphertext
	hear(t, set)

	r := b.get("/traffic/1")
	r.want(t, http.StatusOK,
		`data-scheme="Hawk"`, "App-Authorization: Hawk", "<dt>nonce</dt>", "j4h3g2", "2012-11-25 08:30:34 UTC", "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw=",
		`data-scheme="Basic"`, "<dt>user</dt>", "alice", mask,
		`data-test="sealed"`, "JSON Web Encryption</span>", "&#34;enc&#34;: &#34;A256GCM&#34;", "both ends have it already", "12 bytes", "16 bytes", "as long as what is inside")
	b.get("/traffic/2").want(t, http.StatusOK, "the server&#39;s time", "2012-11-25 08:31:40 UTC", "<dt>tsm</dt>", "Stale timestamp", "Server-Authorization: Hawk", "the request that is answered")
	b.get("/traffic/3").want(t, http.StatusOK, `data-scheme="Basic"`, `data-scheme="Hawk"`)
	b.get("/traffic/4").want(t, http.StatusOK, "as far as it was recorded")
	for _, path := range []string{"/traffic/1", "/traffic/3", "/traffic", "/traffic/rows?after=0"} {
		if page := b.get(path).Body; strings.Contains(page, "open sesame") || strings.Contains(page, "YWxpY2U6b3BlbiBzZXNhbWU") {
			t.Errorf("%s shows the password", path)
		}
	}
}

func TestFindCredentials(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		head string
		want string // schemes and the names of their attributes
	}{
		"none":              {"GET / HTTP/1.1\nAuthorization: key harbour-mobile", ""},
		"Hawk":              {"Authorization: hawk id=\"a\", mac=\"b\"", "hawk id mac"},
		"Hawk with a gap":   {"authorization:  Hawk  id=\"a\"\r\n", "Hawk id"},
		"Hawk without any":  {"Authorization: Hawk nothing", ""},
		"another attribute": {"Authorization: Hawk id=\"a\", evil=\"<b>\"", "Hawk id evil"},
		"Basic":             {"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic user password"},
		"no base64":         {"Authorization: Basic QWxh*", "Basic credentials"},
		"no colon":          {"Authorization: Basic QWxh", "Basic credentials"},
		"a challenge":       {`WWW-Authenticate: Basic realm="Harbour Bank"`, ""},
		"a session":         {"Authorization: Session abc\nApp-Authorization: Hawk id=\"a\"", "Session key Hawk id"},
		"in the middle":     {"X: Authorization: Hawk id=\"a\"", ""},
	} {
		var got []string
		for _, view := range findCredentials(test.head) {
			got = append(got, view.Scheme)
			for _, a := range view.Attributes {
				got = append(got, a.Name)
				if a.Words == "" {
					t.Errorf("%s: %s has no words", name, a.Name)
				}
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", name, strings.Join(got, " "), test.want)
		}
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\nHost: a": "Authorization: Basic " + mask + "\r\nHost: a",
		"authorization:basic QWxh":                                     "authorization:basic " + mask,
		"Proxy-Authorization: Basic QWxh":                              "Proxy-Authorization: Basic " + mask,
		`curl -H "Authorization: Basic QWxh" x`:                        `curl -H "Authorization: Basic ` + mask + `" x`,
		`WWW-Authenticate: Basic realm="Harbour Bank"`:                 `WWW-Authenticate: Basic realm="Harbour Bank"`,
		`Authorization: Hawk id="a"`:                                   `Authorization: Hawk id="a"`,
		"Host: a\r\nCookie: keyladder-admin=5ec7e7; b=c\r\nAccept: d":  "Host: a\r\nCookie: " + mask + "\r\nAccept: d",
		"set-cookie:keyladder-admin=5ec7e7":                            "set-cookie:" + mask,
		"Cookie:\r\nAccept: d":                                         "Cookie:\r\nAccept: d",
	} {
		if got := masked(text); got != want {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestFindSealed(t *testing.T) {
	t.Parallel()
	const header = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0" // {"alg":"dir","enc":"A256GCM"}
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"one":            {header + "..AAAA.BBBB.CCCC", 1},
		"with a key":     {header + ".KKKK.AAAA.BBBB.CCCC", 1},
		"twice the same": {header + "..AAAA.BBBB.CCCC " + header + "..AAAA.BBBB.CCCC", 1},
		"a JWT":          {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.c2ln", 0},
		"no enc":         {"eyJhbGciOiJub25lIn0..AAAA.BBBB.CCCC", 0},
		"too short":      {header + "..AAAA", 0},
		"no JSON":        {"eyJ4..AAAA.BBBB.CCCC", 0},
	} {
		if got := findSealed(test.text); len(got) != test.want {
			t.Errorf("%s: %d", name, len(got))
		}
		if name != "a JWT" && len(findTokens(test.text)) > 0 {
			t.Errorf("%s is taken for a JWT", name)
		}
	}
}

func FuzzProofs(f *testing.F) {
	f.Add(`Authorization: Hawk id="a", ts="1353832234"`)
	f.Add("App-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
	f.Add("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.BBBB.CCCC")
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		if views := findCredentials(text); len(views) > maxCredentials {
			t.Errorf("%d credentials", len(views))
		}
		for _, view := range findSealed(text) {
			if !json.Valid([]byte(view.Header)) {
				t.Errorf("%q is no JSON", view.Header)
			}
		}
		if again := masked(masked(text)); again != masked(text) {
			t.Errorf("masking twice: %q", again)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
