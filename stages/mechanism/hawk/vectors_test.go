package hawk

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The vectors of the published implementation's documentation and tests.
const (
	vectorID  = "dh37fgj492je"
	vectorKey = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn"

	rainbowKey = "2983d45yun89q" // of the ID 123456, whose MAC does not cover it
)

func TestVectors(t *testing.T) {
	t.Parallel()
	request := artifacts{
		method: "GET", target: "/resource/1?b=1&a=2", host: "example.com", port: 8000,
		timestamp: "1353832234", nonce: "j4h3g2", ext: "some-app-ext-data",
	}
	withBody := request
	withBody.method, withBody.hash = "POST", payloadHash("text/plain", []byte("Thank you for flying Hawk"))
	response := artifacts{
		method: "POST", target: "/resource/4?filter=a", host: "example.com", port: 8080,
		timestamp: "1398546787", nonce: "xUwusx", ext: "response-specific",
		hash: payloadHash("text/plain", []byte("some reply")),
	}
	rainbow := artifacts{
		method: "POST", target: "/somewhere/over/the/rainbow", host: "example.net", port: 443,
		timestamp: "1353809207", nonce: "Ygvqdz", ext: "Bazinga!", hash: payloadHash("text/plain", []byte("something to write about")),
	}
	withoutExt, withoutBody := rainbow, rainbow
	withoutExt.ext, withoutBody.ext = "", ""
	withoutBody.hash = payloadHash("text/plain", nil)
	later, earlier := response, response
	later.timestamp, later.nonce = "1453070933", "3hOHpR"
	earlier.timestamp, earlier.nonce = "1362336900", "eb5S_L"
	for _, test := range []struct{ name, got, want string }{
		{"request without a body", request.mac(vectorKey, tagRequest), "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE="},
		{"hash of a body", withBody.hash, "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY="},
		{"media type with parameters and capitals", payloadHash(" Text/Plain ; charset=utf-8", []byte("Thank you for flying Hawk")), "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY="},
		{"request with a body", withBody.mac(vectorKey, tagRequest), "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="},
		{"hash of a response", response.hash, "f9cDF/TDm7TkYRLnGwRMfeDzT6LixQVLvrIKhh0vgmM="},
		{"response", response.mac(vectorKey, tagResponse), "n14wVJK4cOxAytPUMc5bPezQzuJGl5n7MYXhFQgEKsE="},
		{"hash of the client's test", rainbow.hash, "2QfCt3GuY9HQnHWyWD3wX68ZOKbynqlfYmuO2ZBRqtY="},
		{"request of the client's test", rainbow.mac(rainbowKey, tagRequest), "q1CwFoSHzPZSkbIvl0oYlD+91rBUEvFk763nMjMndj8="},
		{"request of the client's test, without ext", withoutExt.mac(rainbowKey, tagRequest), "HTgtd0jPI6E4izx8e4OHdO36q00xFCU0FolNq3RiCYs="},
		{"request of the client's test, without ext, empty body with a hash", withoutBody.mac(rainbowKey, tagRequest), "U5k16YEzn3UnBHKeBzsDXn067Gu3R4YaY6xOt9PYRZM="},
		{"response, later", later.mac(vectorKey, tagResponse), "odsVGUq0rCoITaiNagW22REIpqkwP9zt5FyqqOW9Zj8="},
		{"response, earlier", earlier.mac(vectorKey, tagResponse), "XIJRsMl/4oL+nn+vKoeVZPdCHXB4yJkNnBbTbHFZUYE="},
		{"empty body", payloadHash("text/plain", nil), "q/t+NNAkQZNlq/aAD6PlexImwQTxwgT2MahfTa9XRLA="},
		{"server's time", artifacts{timestamp: "1353832234"}.mac(vectorKey, tagTime), "2mw1eh/qXzl0wJZ/E6XvBhRMEJN7L3j8AyMA8eItEb0="},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.got != test.want {
				t.Errorf("got %s, want %s", test.got, test.want)
			}
		})
	}
}

// TestBase spells out the text of each kind of MAC.
func TestBase(t *testing.T) {
	t.Parallel()
	a := artifacts{
		method: "post", target: "/a?", host: "Example.COM", port: 8000,
		timestamp: "1", nonce: "n", hash: "h", ext: "a\\b\nc",
	}
	oz := a
	oz.app = "app"
	delegated := oz
	delegated.dlg = "dlg"
	for _, test := range []struct{ name, got, want string }{
		{"request", string(a.base(nil, tagRequest)), "hawk.1.header\n1\nn\nPOST\n/a?\nexample.com\n8000\nh\na\\\\b\\nc\n"},
		{"response", string(a.base(nil, tagResponse)), "hawk.1.response\n1\nn\nPOST\n/a?\nexample.com\n8000\nh\na\\\\b\\nc\n"},
		{"time", string(a.base(nil, tagTime)), "hawk.1.ts\n1\n"},
		{"nothing optional", string(artifacts{method: "GET", target: "/", host: "h", port: 1, timestamp: "1", nonce: "n"}.base(nil, tagRequest)), "hawk.1.header\n1\nn\nGET\n/\nh\n1\n\n\n"},
		{"with app", string(oz.base(nil, tagRequest)), "hawk.1.header\n1\nn\nPOST\n/a?\nexample.com\n8000\nh\na\\\\b\\nc\napp\n\n"},
		{"with app and dlg", string(delegated.base(nil, tagRequest)), "hawk.1.header\n1\nn\nPOST\n/a?\nexample.com\n8000\nh\na\\\\b\\nc\napp\ndlg\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.got != test.want {
				t.Errorf("got %q, want %q", test.got, test.want)
			}
		})
	}
}

// TestVectorsOnTheWire runs the vectors through both halves.
func TestVectorsOnTheWire(t *testing.T) {
	t.Parallel()
	const url = "http://example.com:8000/resource/1?b=1&a=2"
	at := time.Unix(1353832234, 0)
	client := &Client{
		Credentials: Credentials{ID: vectorID, Key: vectorKey}, Host: "example.com", Port: 8000,
		Nonce: func() string { return "j4h3g2" },
	}
	verifier := &Verifier{
		Host: "example.com", Port: 8000,
		Lookup: func(string) (string, error) { return vectorKey, nil },
	}
	for _, test := range []struct {
		name, method, body, want string
	}{
		{
			"GET", http.MethodGet, "",
			`Hawk id="dh37fgj492je", ts="1353832234", nonce="j4h3g2", ext="some-app-ext-data", mac="6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE="`,
		},
		{
			"POST", http.MethodPost, "Thank you for flying Hawk",
			`Hawk id="dh37fgj492je", ts="1353832234", nonce="j4h3g2", hash="Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=", ext="some-app-ext-data", mac="aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw="`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req := httptest.NewRequest(test.method, url, strings.NewReader(test.body))
			req.RequestURI = "/resource/1?b=1&a=2"
			req.Header.Set("Content-Type", "text/plain")
			if _, err := client.Sign(req, []byte(test.body), "some-app-ext-data", at); err != nil {
				t.Fatal(err)
			}
			if got := req.Header.Get("Authorization"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if _, err := verifier.Verify(req, []byte(test.body), at); err != nil {
				t.Error(err)
			}
		})
	}

	t.Run("response", func(t *testing.T) {
		t.Parallel()
		a := artifacts{
			method: "POST", target: "/resource/4?filter=a", host: "example.com", port: 8080,
			timestamp: "1398546787", nonce: "xUwusx", app: "", dlg: "",
		}
		header := http.Header{"Content-Type": {"text/plain"}}
		if err := (&Received{artifacts: a, key: vectorKey}).SignResponse(header, []byte("some reply"), "response-specific"); err != nil {
			t.Fatal(err)
		}
		const want = `Hawk mac="n14wVJK4cOxAytPUMc5bPezQzuJGl5n7MYXhFQgEKsE=", hash="f9cDF/TDm7TkYRLnGwRMfeDzT6LixQVLvrIKhh0vgmM=", ext="response-specific"`
		if got := header.Get(ServerAuthorization); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		ext, err := (&Sent{artifacts: a, key: vectorKey}).CheckResponse(header, []byte("some reply"))
		if err != nil || ext != "response-specific" {
			t.Errorf("got %q, %v", ext, err)
		}
	})

	t.Run("response whose MAC covers no hash", func(t *testing.T) {
		t.Parallel()
		a := artifacts{method: "GET", target: "/", host: "example.com", port: 8000, timestamp: "1353832234", nonce: "j4h3g2"}
		header := http.Header{ServerAuthorization: {`Hawk mac="` + a.mac(vectorKey, tagResponse) + `"`}}
		if _, err := (&Sent{artifacts: a, key: vectorKey}).CheckResponse(header, nil); !errors.Is(err, ErrResponseHash) {
			t.Errorf("got %v, want %v", err, ErrResponseHash)
		}
	})

	t.Run("stale timestamp", func(t *testing.T) {
		t.Parallel()
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		other := &Client{Credentials: client.Credentials, Host: client.Host, Port: client.Port}
		if _, err := other.Sign(req, nil, "", at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		_, err := verifier.Verify(req, nil, at)
		if !errors.Is(err, ErrStale) {
			t.Fatalf("got %v, want %v", err, ErrStale)
		}
		const want = `Hawk ts="1353832234", tsm="2mw1eh/qXzl0wJZ/E6XvBhRMEJN7L3j8AyMA8eItEb0=", error="Stale timestamp"`
		if status, value := Refusal(err); status != 401 || value != want {
			t.Errorf("got %d %s, want 401 %s", status, value, want)
		}
	})
}
