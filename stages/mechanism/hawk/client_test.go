package hawk_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyladder/stages/mechanism/hawk"
)

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		client func(*hawk.Client)
		change func(*http.Request)
		ext    string
		want   error
	}{
		{name: "no key", client: func(c *hawk.Client) { c.Credentials.Key = "" }, want: hawk.ErrRequest},
		{name: "no host", client: func(c *hawk.Client) { c.Host = "" }, want: hawk.ErrRequest},
		{name: "no port", client: func(c *hawk.Client) { c.Port = 0 }, want: hawk.ErrRequest},
		{name: "no ID", client: func(c *hawk.Client) { c.Credentials.ID = "" }, want: hawk.ErrMissingAttribute},
		{name: "an ID that can't be sent", client: func(c *hawk.Client) { c.Credentials.ID = `a"b` }, want: hawk.ErrMalformed},
		{name: "an ext that can't be sent", ext: "a\nb", want: hawk.ErrAttributeValue},
		{name: "an ext that is too long", ext: strings.Repeat("x", hawk.MaxLength), want: hawk.ErrTooLong},
		{name: "a method in small letters", change: func(r *http.Request) { r.Method = "get" }, want: hawk.ErrRequest},
		{name: "a target that is no path", change: func(r *http.Request) { r.URL.Opaque = "*" }, want: hawk.ErrRequest},
		{name: "two media types", change: func(r *http.Request) { r.Header["Content-Type"] = []string{"a/b", "c/d"} }, want: hawk.ErrTwice},
		{name: "a line feed in the media type", change: func(r *http.Request) { r.Header.Set("Content-Type", "a/b\nc") }, want: hawk.ErrRequest},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, req := client(), httptest.NewRequest(http.MethodGet, "/", nil)
			if test.client != nil {
				test.client(c)
			}
			if test.change != nil {
				test.change(req)
			}
			if _, err := c.Sign(req, nil, test.ext, noon); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if req.Header.Get("Authorization") != "" {
				t.Error("the field is set")
			}
		})
	}
}

func TestAnotherField(t *testing.T) {
	t.Parallel()
	c, v := client(), verifier()
	c.Field, v.Field = "App-Authorization", "App-Authorization"
	req := httptest.NewRequest(http.MethodGet, "/user-session/v1/accounts", nil)
	req.Header.Set("Authorization", "Session abc")
	sign(t, c, req, "")
	if _, err := v.Verify(req, nil, noon); err != nil {
		t.Error(err)
	}
	if got := req.Header.Get("Authorization"); got != "Session abc" {
		t.Errorf("Authorization became %q", got)
	}
}

func TestLearn(t *testing.T) {
	t.Parallel()
	c, v := client(), verifier()
	serverTime := noon.Add(-3 * time.Hour)
	req, _ := transfer(t, c)
	_, err := v.Verify(req, []byte(order), serverTime)
	status, value := hawk.Refusal(err)
	told := http.Header{"Www-Authenticate": {`Basic realm="x"`, value}}

	mutate := func(old, replacement string) http.Header {
		return http.Header{"Www-Authenticate": {strings.Replace(value, old, replacement, 1)}}
	}
	for _, test := range []struct {
		name   string
		status int
		header http.Header
		want   error
	}{
		{"another time", status, mutate(`ts="17`, `ts="18`), hawk.ErrTimeMAC},
		{"another MAC", status, mutate(`tsm="`, `tsm="x`), hawk.ErrTimeMAC},
		{"no MAC", status, http.Header{"Www-Authenticate": {`Hawk ts="1", error="Stale timestamp"`}}, hawk.ErrTimeMAC},
		{"not a refusal", http.StatusOK, told, hawk.ErrNoTime},
		{"no time", status, http.Header{"Www-Authenticate": {"Hawk", `Hawk error="Bad mac"`, `Hawk tsm="x"`, `Basic realm="x"`}}, hawk.ErrNoTime},
		{"not a time", status, http.Header{"Www-Authenticate": {`Hawk ts="yesterday", tsm="x"`}}, hawk.ErrNoTime},
		{"nothing", status, http.Header{}, hawk.ErrNoTime},
	} {
		if err := c.Learn(test.status, test.header, noon); !errors.Is(err, test.want) || c.Offset() != 0 {
			t.Errorf("%s: got %v, want %v; offset %v", test.name, err, test.want, c.Offset())
		}
	}
	if err := c.Learn(status, told, noon); err != nil || c.Offset() != -3*time.Hour {
		t.Fatalf("got %v, offset %v", err, c.Offset())
	}
	again, _ := transfer(t, c)
	if _, err := v.Verify(again, []byte(order), serverTime); err != nil {
		t.Errorf("signed for the server's time: %v", err)
	}
	other := client()
	other.Credentials.Key = "guess"
	if err := other.Learn(status, told, noon); !errors.Is(err, hawk.ErrTimeMAC) {
		t.Errorf("with another key: got %v, want %v", err, hawk.ErrTimeMAC)
	}
}
