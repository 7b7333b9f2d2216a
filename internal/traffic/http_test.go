package traffic

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
)

// hostile is a request as nobody sends it who means well.
func hostile(octet string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/tls/v1/rates", nil)
	r.Header.Set("User-Agent", "curl/8")
	r.Header.Set("X-Filler", strings.Repeat(octet, 12_000))
	return r
}

func TestHTTPIsFormattedWhenSomebodyLooks(t *testing.T) {
	t.Parallel()
	log := New("resource", 8)
	r := httptest.NewRequest(http.MethodPost, "/tls/v1/transfers?key=secret", strings.NewReader("{}"))
	r.Header = http.Header{"User-Agent": {"HarbourBank/1.0"}, "Accept": {"a", "b"}, "Cookie": {"keyladder-admin=5ec7e7"}}
	log.Add(Message{Kind: Request, HTTP: RequestHead(r)})
	r.Header.Del("Accept") // what the server does to the request later does not show
	r.Header["User-Agent"][0] = "changed"
	answer := http.Header{"Content-Type": {"application/json"}, "Set-Cookie": {"a=b"}}
	log.Add(Message{Kind: Response, HTTP: AnswerHead("HTTP/1.1", http.StatusForbidden, answer)})
	for range 2 {
		got := log.After(0)
		for i, want := range []Message{
			{Summary: "POST /tls/v1/transfers", Head: "POST /tls/v1/transfers?key=secret HTTP/1.1\nHost: example.com\nAccept: a\nAccept: b\nCookie: (not recorded)\nUser-Agent: HarbourBank/1.0"},
			{Summary: "403 Forbidden", Head: "HTTP/1.1 403 Forbidden\nContent-Type: application/json\nSet-Cookie: (not recorded)"},
		} {
			if got[i].Summary != want.Summary || got[i].Head != want.Head || got[i].HTTP != (HTTP{}) {
				t.Errorf("%q\n%s\nwant %q\n%s", got[i].Summary, got[i].Head, want.Summary, want.Head)
			}
		}
	}
}

// What is kept of a head is as much as is shown, however long the request was.
func TestHTTPKeepsNoMoreThanAHead(t *testing.T) {
	t.Parallel()
	long := httptest.NewRequest(http.MethodGet, "/tls/"+strings.Repeat("x", 30_000), nil)
	long.Host = strings.Repeat("h", 30_000)
	many := httptest.NewRequest(http.MethodGet, "/", nil)
	for range 30_000 {
		many.Header.Add("A", "")
	}
	for name, r := range map[string]*http.Request{
		"a long field": hostile("\xff"), "continuation bytes": hostile("\x80"), "a long target": long, "many fields": many,
	} {
		h := RequestHead(r)
		if kept := len(h.packed); kept > 2*MaxHead {
			t.Errorf("%s: %d bytes are kept", name, kept)
		}
	}
	log := New("resource", 1)
	log.Add(Message{HTTP: RequestHead(hostile("\x80"))})
	if head := log.After(0)[0].Head; !strings.HasPrefix(head, "GET /tls/v1/rates HTTP/1.1\nHost: example.com\nUser-Agent: curl/8\nX-Filler: ") || len(head) > MaxHead {
		t.Errorf("%d bytes: %.100q", len(head), head)
	}
}

// A stranger's bytes come to a reader as they are, and no longer than base64 makes them.
func TestHostileMessagesStaySmall(t *testing.T) {
	t.Parallel()
	for _, octet := range []string{"\xff", "\x80", "\x00", "<", "\"", "é", "x"} {
		log := New("resource", 8)
		log.Add(Message{HTTP: RequestHead(hostile(octet)), Verdict: &Verdict{Check: "user-agent", Reason: "not " + strings.Repeat(octet, 900)}})
		m := log.After(0)[0]
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if most := (MaxHead+len(m.Verdict.Reason)+len(m.Summary))*4/3 + 500; len(data) > most {
			t.Errorf("%q: %d bytes, want at most %d", octet, len(data), most)
		}
		var got Message
		if err := json.Unmarshal(data, &got); err != nil {
			t.Fatal(err)
		}
		m.At, got.At = time.Time{}, time.Time{}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%q: another message arrived: %.300v, want %.300v", octet, got, m)
		}
	}
}

// The limits count with a message's weight, so it must never be less than what is sent.
func TestWeight(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	some := func(most int) string {
		alphabet := []string{"x", "x", "\xff", "\x80", "\x01", "<", "é", "\n", "\"", "\u2028"}[random.IntN(8):]
		var s strings.Builder
		for range random.IntN(most) {
			s.WriteString(alphabet[random.IntN(len(alphabet))])
		}
		return s.String()
	}
	for range 2000 {
		log := New("resource", 1)
		m := Message{
			Lane: Network, Stage: "password-grant", Exchange: some(64), Kind: Response, From: "network", To: "resource",
			Summary: some(100), Head: some(9000), Body: []byte(some(20_000)), Size: 1 << 40,
			Verdict: &Verdict{Check: "client-certificate", Reason: some(3000)},
		}
		if random.IntN(2) == 0 {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RequestURI, r.Host = "/"+some(3000)+"?"+some(3000), some(300)
			r.Header.Set("A", some(6000))
			m.HTTP = RequestHead(r)
		}
		log.Add(m)
		kept := log.Bytes()
		data, err := json.Marshal(log.After(0)[0])
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > kept {
			t.Fatalf("the JSON has %d bytes, and weighs %d: %.200s", len(data), kept, data)
		}
	}
}

func TestLogIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	log := New("resource", 4096)
	for range 2100 {
		log.Add(Message{HTTP: RequestHead(hostile("\xff")), Body: make([]byte, MaxBody)})
	}
	if n := log.Bytes(); n > MaxBytes || n < MaxBytes-50_000 {
		t.Errorf("%d bytes are kept, the limit is %d", n, MaxBytes)
	}
	if kept := log.After(0); kept[len(kept)-1].Seq != 2100 || len(kept) > 600 {
		t.Errorf("%d messages are kept, the last is %d", len(kept), kept[len(kept)-1].Seq)
	}
}

// BenchmarkCall records a call as the guard does, with the heads of a usual request and answer.
func BenchmarkCall(b *testing.B) {
	log := New("resource", 4096)
	r := httptest.NewRequest(http.MethodGet, "/hmac/v1/rates", nil)
	r.Header = http.Header{
		"User-Agent": {"HarbourBank/1.0"}, "Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "Traffic-Id": {"k2v7"},
		"Authorization": {`Hawk id="harbour-mobile", ts="1353832234", nonce="j4h3g2", hash="Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=", mac="aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="`},
	}
	answer := http.Header{
		"Content-Type": {"application/json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"},
		"Server-Authorization": {`Hawk mac="aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="`},
	}
	body := []byte(strings.Repeat("x", 200))
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		log.Add(Message{At: at, Lane: Server, Stage: "hmac", Exchange: "k2v7", Kind: Request, From: "network", To: "resource", HTTP: RequestHead(r)}, Message{
			At: at, Lane: Server, Stage: "hmac", Exchange: "k2v7", Kind: Response, From: "resource", To: "network",
			HTTP: AnswerHead("HTTP/1.1", 200, answer), Body: body, Size: len(body), Verdict: &Verdict{Allowed: true, Check: "scope"},
		})
	}
}
