package protect

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
)

// TestCheck changes answers in one place each.
func TestCheck(t *testing.T) {
	t.Parallel()
	stage := lookup(t, "hidden-secrets")
	keys, err := sealed.DeriveKeys(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	seal := func(content string) []byte {
		body, err := keys.Responses.Seal([]byte(content), JSON)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	type sent struct {
		status      int
		media       string
		body        []byte
		unsigned    bool
		afterSigned func(http.Header, []byte) []byte
	}
	for _, test := range []struct {
		name      string
		answer    sent
		opened    string
		authentic bool
		err       error
		check     catalog.Check
	}{
		{name: "good", answer: sent{status: 200, media: sealed.MediaType, body: seal(`{"a":1}`)}, opened: `{"a":1}`, authentic: true},
		{name: "without content", answer: sent{status: 204}, authentic: true},
		{name: "a success without proof", answer: sent{status: 200, media: sealed.MediaType, body: seal("{}"), unsigned: true}, err: hawk.ErrUnsigned, check: catalog.CheckServerMAC},
		{name: "a refusal without proof", answer: sent{status: 403, media: "application/problem+json", body: []byte("{}"), unsigned: true}, opened: "{}"},
		{name: "a success in the clear", answer: sent{status: 200, media: JSON, body: []byte("{}")}, err: ErrNotSealed, authentic: true, check: catalog.CheckSealedAnswer},
		{name: "a refusal in the clear", answer: sent{status: 401, media: JSON, body: []byte("{}")}, opened: "{}", authentic: true},
		{name: "sealed for another direction", answer: sent{status: 200, media: sealed.MediaType, body: func() []byte { b, _ := keys.Requests.Seal([]byte("{}"), JSON); return b }()}, err: sealed.ErrOpen, authentic: true, check: catalog.CheckSealedAnswer},
		{name: "changed", answer: sent{status: 200, media: sealed.MediaType, body: seal("{}"), afterSigned: func(_ http.Header, b []byte) []byte { return append(bytes.Clone(b), 'A') }}, err: hawk.ErrResponseHash, check: catalog.CheckServerMAC},
		{name: "two proofs", answer: sent{status: 200, media: sealed.MediaType, body: seal("{}"), afterSigned: func(h http.Header, b []byte) []byte {
			h.Add(hawk.ServerAuthorization, h.Get(hawk.ServerAuthorization))
			return b
		}}, err: hawk.ErrResponseMalformed, check: catalog.CheckServerMAC},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := dress(t, caller(t, stage, whole()), Call{Path: "/v1/rates", Public: true})
			received, err := server(stage.Call).Verify(arrived(d), d.Body, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{}
			if test.answer.media != "" {
				header.Set("Content-Type", test.answer.media)
			}
			if !test.answer.unsigned {
				if err := received.SignResponse(header, test.answer.body, ""); err != nil {
					t.Fatal(err)
				}
			}
			body := test.answer.body
			if test.answer.afterSigned != nil {
				body = test.answer.afterSigned(header, body)
			}
			answer, err := d.Check(&http.Response{StatusCode: test.answer.status, Header: header}, body)
			if !errors.Is(err, test.err) || answer.Authentic != test.authentic {
				t.Errorf("authentic: %v, %v; want %v, %v", answer.Authentic, err, test.authentic, test.err)
			}
			if err == nil && (string(answer.Body) != test.opened || answer.Sealed && answer.Media != JSON) {
				t.Errorf("opened %s, %s", answer.Body, answer.Media)
			}
			if check, reason := Refused(err); check != test.check || (check == "") != (reason == "") {
				t.Errorf("refused by %q: %s", check, reason)
			}
		})
	}
}

// TestTime has a server whose clock is ahead. Callers of other identities that came from one
// go by what it has learned.
func TestTime(t *testing.T) {
	t.Parallel()
	stage := lookup(t, "hmac")
	ahead := time.Now().Add(time.Hour)
	c := caller(t, stage, whole())
	tell := func(d *Dressed, change func(*http.Response)) (Answer, error) {
		_, err := server(stage.Call).Verify(arrived(d), d.Body, ahead)
		if !errors.Is(err, hawk.ErrStale) {
			t.Fatal(err)
		}
		status, told := hawk.Refusal(err)
		response := &http.Response{StatusCode: status, Header: http.Header{"Www-Authenticate": {told}}}
		change(response)
		return d.Check(response, nil)
	}
	rates := Call{Path: "/v1/rates", Public: true}
	for name, change := range map[string]func(*http.Response){
		"another MAC": func(r *http.Response) {
			field := []byte(r.Header.Get("WWW-Authenticate"))
			r.Header.Set("WWW-Authenticate", string(bytes.Replace(field, []byte(`tsm="`), []byte(`tsm="A`), 1)))
		},
	} {
		if answer, err := tell(dress(t, c, rates), change); !errors.Is(err, ErrTime) || answer.ToldTime {
			t.Errorf("%s: %v", name, err)
		}
	}
	if answer, err := tell(dress(t, c, rates), func(r *http.Response) { r.StatusCode = http.StatusForbidden }); err != nil || answer.ToldTime {
		t.Errorf("a time that is no refusal of one: %v", err)
	}
	answer, err := tell(dress(t, c, rates), func(*http.Response) {})
	if err != nil || !answer.ToldTime {
		t.Fatalf("%+v, %v", answer, err)
	}
	other, err := c.As(func(i *Identity) { i.Device = Installation{"another", "phone"} })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Caller{c, other} {
		d := dress(t, c, rates)
		if _, err := server(stage.Call).Verify(arrived(d), d.Body, ahead); err != nil {
			t.Error(err)
		}
	}
}
