package protect

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/sealed"
)

// TestPortions has a stage seal a portion of bodies: what is confidential travels sealed, both
// ways, and a success with any of it in the clear is refused.
func TestPortions(t *testing.T) {
	t.Parallel()
	stage := lookup(t, "hidden-secrets")
	stage.Call.Bodies = catalog.SealedPortions
	keys, err := sealed.DeriveKeys(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	portion, _, err := keys.Responses.SealMembers([]byte(`{"id":1,"amount":5}`), catalog.Confidential())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		status int
		media  string
		body   []byte
		opened string
		sealed bool
		check  catalog.Check
	}{
		"a portion":                  {status: 200, media: JSON, body: portion, opened: `{"id":1,"amount":5}`, sealed: true},
		"nothing confidential":       {status: 200, media: JSON, body: []byte(`{"base":"EUR"}`), opened: `{"base":"EUR"}`},
		"in the clear":               {status: 200, media: JSON, body: []byte(`{"amount":5}`), opened: `{"amount":5}`, check: catalog.CheckSealedAnswer},
		"a problem":                  {status: 400, media: "application/problem+json", body: []byte(`{"status":400}`), opened: `{"status":400}`},
		"a refusal in the clear":     {status: 400, media: JSON, body: []byte(`{"amount":5}`), opened: `{"amount":5}`},
		"sealed as a whole, instead": {status: 200, media: JSON, body: []byte("eyJ..a.b.c"), opened: "eyJ..a.b.c", check: catalog.CheckSealedAnswer},
	} {
		d := dress(t, caller(t, stage, whole()), Call{Method: http.MethodPost, Path: "/v1/transfers", Body: []byte(`{"amount":5,"currency":"EUR"}`)})
		received, err := server(stage.Call).Verify(arrived(d), d.Body, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		opened, _, err := keys.Requests.OpenMembers(d.Body, catalog.Confidential())
		if string(opened) != `{"currency":"EUR","amount":5}` || err != nil || !d.Sealed || bytes.Contains(d.Body, []byte("amount")) || !bytes.Contains(d.Body, []byte("EUR")) {
			t.Errorf("sent: %s, which opens to %s, %v", d.Body, opened, err)
		}
		header := http.Header{"Content-Type": {test.media}}
		if err := received.SignResponse(header, test.body, ""); err != nil {
			t.Fatal(err)
		}
		answer, err := d.Check(&http.Response{StatusCode: test.status, Header: header}, test.body)
		check, _ := Refused(err)
		if check != test.check || (err == nil) != (test.check == "") || string(answer.Body) != test.opened || answer.Sealed != test.sealed {
			t.Errorf("%s: %s, sealed %v, refused by %q, %v", name, answer.Body, answer.Sealed, check, err)
		}
	}
}
