package main

import (
	"bytes"
	"io"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/stages/workshop/lab"
)

// The secret is the client's; of a client that has none, the command says so, and which have one.
func TestClientSecret(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the app and runs a lab")
	}
	t.Parallel()
	l, err := lab.Start(t.Context(), lab.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	folder, err := deployment.Open(l.Dir, deployment.Auth)
	if err != nil {
		t.Fatal(err)
	}
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
