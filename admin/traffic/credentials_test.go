package traffic

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

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
