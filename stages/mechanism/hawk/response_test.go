package hawk_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"keyladder/stages/mechanism/hawk"
)

func TestResponse(t *testing.T) {
	t.Parallel()
	const booked = `{"id":7}`
	for _, test := range []struct {
		name   string
		change func(http.Header)
		body   string // that arrives; empty: booked
		other  bool   // checked as the answer to another request
		want   error
	}{
		{name: "as it was sent"},
		{name: "not signed", change: func(h http.Header) { h.Del(hawk.ServerAuthorization) }, want: hawk.ErrUnsigned},
		{name: "signed twice", change: func(h http.Header) {
			h.Add(hawk.ServerAuthorization, h.Get(hawk.ServerAuthorization))
		}, want: hawk.ErrResponseMalformed},
		{name: "another scheme", change: func(h http.Header) { h.Set(hawk.ServerAuthorization, "Bearer x") }, want: hawk.ErrResponseMalformed},
		{name: "attributes of a request", change: func(h http.Header) {
			h.Set(hawk.ServerAuthorization, h.Get(hawk.ServerAuthorization)+`, id="a"`)
		}, want: hawk.ErrUnknownAttribute},
		{name: "two media types", change: func(h http.Header) { h.Add("Content-Type", "text/plain") }, want: hawk.ErrResponseMalformed},
		{name: "no MAC", change: func(h http.Header) { h.Set(hawk.ServerAuthorization, `Hawk hash="x"`) }, want: hawk.ErrResponseMAC},
		{name: "another ext", change: func(h http.Header) {
			h.Set(hawk.ServerAuthorization, strings.Replace(h.Get(hawk.ServerAuthorization), "status", "states", 1))
		}, want: hawk.ErrResponseMAC},
		{name: "another hash", change: func(h http.Header) {
			h.Set(hawk.ServerAuthorization, strings.Replace(h.Get(hawk.ServerAuthorization), `hash="`, `hash="x`, 1))
		}, want: hawk.ErrResponseMAC},
		{name: "the answer to another request", other: true, want: hawk.ErrResponseMAC},
		{name: "another body", body: `{"id":8}`, want: hawk.ErrResponseHash},
		{name: "another media type", change: func(h http.Header) { h.Set("Content-Type", "text/html") }, want: hawk.ErrResponseHash},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := client()
			req, sent := transfer(t, c)
			received, err := verifier().Verify(req, []byte(order), noon)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{"Content-Type": {"application/json"}}
			if err := received.SignResponse(header, []byte(booked), "status=201"); err != nil {
				t.Fatal(err)
			}
			body := booked
			if test.body != "" {
				body = test.body
			}
			if test.change != nil {
				test.change(header)
			}
			if test.other {
				_, sent = transfer(t, c)
			}
			ext, err := sent.CheckResponse(header, []byte(body))
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && ext != "status=201" || err != nil && ext != "" {
				t.Errorf("ext %q, %v", ext, err)
			}
		})
	}
}

// TestReflectedMAC sends a request's own MAC and body back.
func TestReflectedMAC(t *testing.T) {
	t.Parallel()
	req, sent := transfer(t, client())
	h, err := hawk.Parse(req.Header.Get("Authorization"))
	if err != nil {
		t.Fatal(err)
	}
	reflected := http.Header{"Content-Type": {"application/json"}}
	reflected.Set(hawk.ServerAuthorization, fmt.Sprintf(`Hawk mac=%q, hash=%q`, h.MAC, h.Hash))
	if _, err := sent.CheckResponse(reflected, []byte(order)); !errors.Is(err, hawk.ErrResponseMAC) {
		t.Errorf("got %v, want %v", err, hawk.ErrResponseMAC)
	}
}

func TestSignResponseRefuses(t *testing.T) {
	t.Parallel()
	req, _ := transfer(t, client())
	received, err := verifier().Verify(req, []byte(order), noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		header http.Header
		body   string
		ext    string
	}{
		{"a body without media type", http.Header{}, "x", ""},
		{"two media types", http.Header{"Content-Type": {"a/b", "c/d"}}, "x", ""},
		{"an ext that can't be sent", http.Header{"Content-Type": {"a/b"}}, "x", `"`},
	} {
		if err := received.SignResponse(test.header, []byte(test.body), test.ext); err == nil || test.header.Get(hawk.ServerAuthorization) != "" {
			t.Errorf("%s: %v, %v", test.name, err, test.header)
		}
	}
	if err := received.SignResponse(http.Header{}, nil, ""); err != nil {
		t.Errorf("no body, no media type: %v", err)
	}
}
