package program_test

import (
	"strings"
	"testing"

	"keyladder/internal/program"
	"keyladder/stages/catalog"
)

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"hmca": "hmac", "HMAC": "hmac", "appid": "app-id", "pinned": "pinned-mtls", "user-sesion": "user-session",
		"nothing-like-it": "", "": "",
	} {
		hint := ""
		if want != "" {
			hint = `; did you mean "` + want + `"?`
		}
		if got := program.DidYouMean(typed, strings.Split(catalog.All().Slugs(), ", ")); got != hint {
			t.Errorf("%q: %s", typed, got)
		}
	}
}
