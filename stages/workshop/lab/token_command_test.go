package lab_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// stages token prints as JSON what the app holds after a sign-in: the field that stands for the
// user, and a refresh token exactly where the stage has any.
func TestTokenCommandPrintsWhatTheAppHolds(t *testing.T) {
	testenv.InSequence(t)
	testenv.Program(t, "go")
	t.Parallel()
	l := start(t, lab.Options{Screens: true, Settings: testbank.ManyCalls()})
	path := "PATH=" + toolPath(t)
	for _, stage := range catalog.All().Built() {
		if stage.Call.UserProof == catalog.NoUser {
			continue
		}
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			token := exec.CommandContext(t.Context(), "bash", "-c", "go run ./stages token --json --data \"$1\" --stage \"$2\" --user alice", "bash", l.Dir, stage.Slug)
			token.Env = append(os.Environ(), path)
			output, err := token.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			var held struct {
				Fields       map[string]string `json:"fields"`
				RefreshToken string            `json:"refresh_token"`
			}
			if err := json.Unmarshal(output, &held); err != nil {
				t.Fatalf("%v in %q", err, output)
			}
			scheme, _, _ := strings.Cut(held.Fields["Authorization"], " ")
			if want := map[catalog.UserProof]string{catalog.UserSession: "Session", catalog.AccessToken: "Bearer"}[stage.Call.UserProof]; scheme != want {
				t.Errorf("Authorization has the scheme %q, want %q", scheme, want)
			}
			if got, want := held.RefreshToken != "", stage.Call.Grant == catalog.CodeAndRefresh; got != want {
				t.Errorf("a refresh token: %t, want %t", got, want)
			}
		})
	}
}
