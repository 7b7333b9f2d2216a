package loot

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/protect"
)

const secret = "WXYZ234567ABCDEFGHIJKLMNOPQRSTUVWXYZ234567ABCDEFGH23"

// caller is somebody without an identity, at a stage.
func caller(t testing.TB, slug string) *protect.Caller {
	t.Helper()
	stage, ok := catalog.All().Lookup(slug)
	if !ok {
		t.Fatalf("no stage %q", slug)
	}
	c, err := protect.New(stage.Call, protect.API{Stage: slug, Plain: "http://127.0.0.1:8080", TLS: "https://127.0.0.1:8443"}, protect.Identity{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientIDs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, data string
		want       []string
	}{
		{"JSON", `{"CLIENT_ID": "harbour-mobile"}`, []string{"harbour-mobile"}},
		{"compact JSON", `{"CLIENT_ID":"harbour-mobile","X":1}`, []string{"harbour-mobile"}},
		{"assignment", "CLIENT_ID=harbour-mobile\n", []string{"harbour-mobile"}},
		{"written over in part, by a line", "{\"CLIENT_ID\":\"har\n\nthe next\"}", nil},
		{"written over in part, by text with quotes", `{"CLIENT_ID":"har\"text\"}`, nil},
		{"written over in part, by a text in quotes", `{"CLIENT_ID":"har"text":1}`, nil},
		{"written over in part, and whole", "CLIENT_ID=har\nCLIENT_ID=harbour-mobile\nCLIENT_ID=abc\n", []string{"harbour-mobile", "abc", "har"}},
		{"written over in part", "{\"CLIENT_ID\":\"har\x00\x00\x00\x00our-mobile\"}", nil},
		{"a request", "GET / HTTP/1.1\r\nAuthorization: key harbour-mobile\r\n\r\n", []string{"harbour-mobile"}},
		{"a request with small letters", "authorization: key harbour-mobile\r\n", []string{"harbour-mobile"}},
		{"twice", "CLIENT_ID=abc\nCLIENT_ID=abc\nCLIENT_ID=def\n", []string{"abc", "def"}},
		{"another scheme", "Authorization: Bearer abcdef\r\n", nil},
		{"a tag in a program", "json:\"CLIENT_ID\"json:\"X\"", nil},
		{"a tag, and the value where a window ends", `json:"CLIENT_ID"` + strings.Repeat(".", 224) + `"CLIENT_ID": "harbour-mobile"`, []string{"harbour-mobile"}},
		{"a line of an access log", `127.0.0.1 - - "GET /app-id/v1/rates?key=harbour-mobile HTTP/1.1" 200 19`, []string{"harbour-mobile"}},
		{"among other parameters", `"GET /x?a=b&KEY=harbour%2Dmobile&c=d HTTP/1.1" 200`, []string{"harbour-mobile"}},
		{"left out of the log", `"GET /tls/v1/rates?key=[redacted] HTTP/1.1" 400`, nil},
		{"part of another parameter's name", `"GET /x?monkey=harbour-mobile HTTP/1.1" 200`, nil},
		{"in no request line", `see https://example.test/?key=harbour-mobile`, nil},
		{"signed", `Authorization: Hawk id="harbour-mobile", ts="1"`, []string{"harbour-mobile"}},
		{"signed, in JSON", `"Hawk id=\"harbour-mobile\", ts=\"1\""`, []string{"harbour-mobile"}},
		{"a format in a program", `Hawk id="%s", ts="%d"`, nil},
		{"nothing", "", nil},
	}
	for _, test := range tests {
		var l Loot
		l.Search([]byte(test.data))
		if !slices.Equal(l.ClientIDs, test.want) {
			t.Errorf("%s: %q, want %q", test.name, l.ClientIDs, test.want)
		}
	}
}

func TestStored(t *testing.T) {
	t.Parallel()
	key := session.NewKey()
	tests := []struct {
		name, data              string
		sessions, installations int
	}{
		{"a session", `{"session_key":"` + string(key) + `","user":"alice"}`, 1, 0},
		{"a registration", `{"identifier":"a","guid":"b"}`, 0, 1},
		{"a registration in another order", `{"guid": "b", "identifier": "a"}`, 0, 1},
		{"half a registration", `{"guid":"b"}`, 0, 0},
		{"a registration without its start", `"identifier":"a","guid":"b"}`, 0, 0},
		{"something short", `{"session_key":"abc"}`, 0, 0},
		{"not JSON", "\x00\x01", 0, 0},
		{"other JSON", "[1,2]", 0, 0},
	}
	for _, test := range tests {
		var l Loot
		l.Search([]byte(test.data))
		if len(l.Sessions) != test.sessions || len(l.Installations) != test.installations {
			t.Errorf("%s: %d sessions, %d installations", test.name, len(l.Sessions), len(l.Installations))
		}
	}
}

func TestIdentities(t *testing.T) {
	t.Parallel()
	found := &Loot{
		UserAgents: UserAgents{"HarbourBank/1.0", "HarbourBank/2.0"}, ClientIDs: ClientIDs{"a", "b"},
		Secrets:       Secrets{Values: []string{secret}},
		Sessions:      Sessions{session.NewKey()},
		Installations: Installations{{Identifier: "i", GUID: "g"}},
	}
	var many ClientIDs
	for i := range maxTries + 1 {
		many = append(many, fmt.Sprint("client-", i))
	}
	tests := []struct {
		name, stage string
		found       *Loot
		finders     []Finder
		want        int
	}{
		{"nothing", "tls", &Loot{}, (&Loot{}).OfApp(), 0},
		{"keys", "tls", found, found.OfApp(), 2},
		{"a certificate is wanted, and the API will say so", "pinned-mtls", found, found.OfApp(), 2},
		{"a secret is wanted", "hmac", &Loot{}, (&Loot{ClientIDs: ClientIDs{"a"}}).OfApp(), 0},
		{"keys and a secret", "hmac", found, found.OfApp(), 2},
		{"all", "user-session", found, slices.Concat(found.OfApp(), found.OfUser()), 2},
		{"too many", "tls", found, []Finder{&many}, maxTries},
	}
	for _, test := range tests {
		got := Identities(caller(t, test.stage), test.finders...)
		if len(got) != test.want {
			t.Errorf("%s: %d identities, want %d", test.name, len(got), test.want)
		}
		if test.name != "all" {
			continue
		}
		for i, as := range got {
			if as.UserAgent != "HarbourBank/1.0" || as.ClientID != found.ClientIDs[i] || as.Secret != secret ||
				as.Session != found.Sessions[0] || as.Device != found.Installations[0] {
				t.Errorf("identity %d is not complete", i)
			}
		}
	}
}

func TestDescriptionsTellNoSecrets(t *testing.T) {
	t.Parallel()
	key := session.NewKey()
	l := Loot{
		ClientIDs: ClientIDs{"harbour-mobile", "b", "c", "d", "e"}, Secrets: Secrets{Values: []string{secret}},
		Sessions: Sessions{key}, Installations: Installations{{Identifier: "the-phone", GUID: "the-guid"}},
	}
	text := l.String()
	for _, hidden := range []string{secret, string(key), "the-phone", "the-guid"} {
		if strings.Contains(text, hidden) {
			t.Errorf("%q gives %q away", text, hidden)
		}
	}
	for _, shown := range []string{"harbour-mobile", "more of the same", "a session key", Fingerprint(secret)} {
		if !strings.Contains(text, shown) {
			t.Errorf("%q does not mention %q", text, shown)
		}
	}
}

func FuzzLoot(f *testing.F) {
	f.Add([]byte(`{"CLIENT_ID": "harbour-mobile"}`))
	f.Add([]byte("Authorization: key a\r\n-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----"))
	f.Add([]byte(`{"identifier":"a","guid":"b","session_key":"c"} GET /x?key=d HTTP/1.1`))
	f.Add(bytes.Clone(derPrivateKeys[0].start))
	f.Fuzz(func(t *testing.T, data []byte) {
		var l Loot
		l.Search(data)
		if len(Identities(caller(t, "user-session"), slices.Concat(l.OfApp(), l.OfUser())...)) > maxTries {
			t.Error("too many tries")
		}
	})
}
