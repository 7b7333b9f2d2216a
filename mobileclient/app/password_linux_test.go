package main

import (
	"bytes"
	"testing"

	"keyladder/mobileclient/attacker/debugger"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/token"
)

// TestPasswordStaysOnThePage searches the app's whole memory for the password. The access token
// is there, so that the search finds what is.
func TestPasswordStaysOnThePage(t *testing.T) {
	t.Parallel()
	for _, grant := range []catalog.Grants{catalog.ImplicitGrant, catalog.CodeGrant, catalog.CodeAndRefresh} {
		t.Run(string(grant), func(t *testing.T) {
			t.Parallel()
			b, _ := issuing(t, grant)
			app := b.launch(t, tokenStage)
			if screen := b.enter(t, app, "alice"); !screen.OK {
				t.Fatalf("%+v", screen)
			}
			if screen := shown(t)(app.Accounts(t.Context())); !screen.OK {
				t.Fatalf("%+v", screen)
			}
			_, access, err := token.Shown(b.last(t).Header)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			if _, err := debugger.EachWritable(t.Context(), app.PID(), func(_ uint64, data []byte) {
				for what, text := range map[string]string{"password": b.bank.Passwords["alice"], "token": access} {
					found[what] = found[what] || bytes.Contains(data, []byte(text))
				}
			}); err != nil {
				t.Skipf("the app's memory can't be read here: %v", err)
			}
			if found["password"] || !found["token"] {
				t.Errorf("in the app's memory: %v", found)
			}
		})
	}
}
