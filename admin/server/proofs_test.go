package server

import (
	"net/http"
	"strings"
	"testing"

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
		set.bank.Traffic().Add(m)
	}
	add(traffic.Message{Lane: traffic.Server, Stage: "user-session", Kind: traffic.Request, Summary: "POST /user-session/v1/session", Head: head, Body: []byte(body)})
	add(traffic.Message{Lane: traffic.Server, Kind: traffic.Response, Summary: "401 Unauthorized", Head: "HTTP/1.1 401 Unauthorized\n" +
		`WWW-Authenticate: Hawk ts="1353832300", tsm="2mw1eh/qXzl0wJZ/E6XvBhRMEJN7L3j8AyMA8eItEb0=", error="Stale timestamp"` + "\n" +
		`Server-Authorization: Hawk mac="n14wVJK4cOxAytPUMc5bPezQzuJGl5n7MYXhFQgEKsE=", hash="f9cDF/TDm7TkYRLnGwRMfeDzT6LixQVLvrIKhh0vgmM="`})
	add(traffic.Message{Lane: traffic.Network, Kind: traffic.Bytes, Summary: "clear text", Body: []byte(head)})
	add(traffic.Message{Lane: traffic.Server, Kind: traffic.Response, Summary: "200 OK", Body: []byte(body[:len(body)-30])}) // cut off in the ciphertext
	hear(t, b, set)

	r := b.get("/traffic/1")
	r.want(t, http.StatusOK,
		`data-scheme="Hawk"`, "App-Authorization: Hawk", "<dt>nonce</dt>", "j4h3g2", "2012-11-25 08:30:34 UTC", "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw=",
		`data-scheme="Basic"`, "<dt>user</dt>", "alice", "••••••••",
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
