package main

import (
	"bytes"
	"io"
	"testing"

	"keyladder/internal/deployment"
)

// The secret is the client's; of a client that has none, the command says so, and which have one.
func TestClientSecret(t *testing.T) {
	t.Parallel()
	l := runLab(t)
	folder := folderOf(t, l, deployment.Auth)
	var secrets map[string]string
	if err := folder.JSON("secrets.json", &secrets); err != nil {
		t.Fatal(err)
	}
	const others = "; these have one: harbour-kiosk, harbour-mediator, harbour-mobile, harbour-ops, workshop-web"
	for _, test := range []struct{ client, prints, err string }{
		{client: "workshop-web", prints: secrets["workshop-web"] + "\n"},
		{client: "workshop-native", err: "workshop-native is a public client and has no secret" + others},
		{client: "nobody/else", err: "the authorization server has no client nobody/else" + others},
	} {
		var printed bytes.Buffer
		c := clientSecretCommand()
		c.SetArgs([]string{test.client, "--data", l.Dir})
		c.SetOut(&printed)
		c.SetErr(io.Discard)
		c.SilenceErrors, c.SilenceUsage = true, true
		said := ""
		if err := c.ExecuteContext(t.Context()); err != nil {
			said = err.Error()
		}
		if printed.String() != test.prints || said != test.err {
			t.Errorf("%s: printed %d bytes, %q; want %d, %q", test.client, printed.Len(), said, len(test.prints), test.err)
		}
	}
}
