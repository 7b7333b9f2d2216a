package lab_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/internal/deployment"
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
				Attestation  string            `json:"client_attestation"`
			}
			if err := json.Unmarshal(output, &held); err != nil {
				t.Fatalf("%v in %q", err, output)
			}
			scheme, _, _ := strings.Cut(held.Fields["Authorization"], " ")
			want := map[catalog.UserProof]string{catalog.UserSession: "Session", catalog.AccessToken: "Bearer"}[stage.Call.UserProof]
			if stage.Call.Sender != catalog.AnySender {
				want = "DPoP"
			}
			if scheme != want {
				t.Errorf("Authorization has the scheme %q, want %q", scheme, want)
			}
			if got, want := held.RefreshToken != "", stage.Call.Grant == catalog.CodeAndRefresh; got != want {
				t.Errorf("a refresh token: %t, want %t", got, want)
			}
			if got, want := held.Attestation != "", stage.Call.ClientAuth == catalog.ByAttestation; got != want {
				t.Errorf("a client attestation: %t, want %t", got, want)
			}
			for _, once := range []string{"Dpop", "Signature", "Signature-Input"} {
				if held.Fields[once] != "" {
					t.Errorf("%s is good for one call alone", once)
				}
			}
		})
	}
}

// Where tokens are bound to a key, stages sign proves calls and token requests with the one that is in the
// phone of stages token, for curl. What it has made is good once, for what was signed, and with that key.
func TestSignCommandSignsWithThePhonesKey(t *testing.T) {
	testenv.InSequence(t)
	for _, tool := range []string{"go", "bash", "curl", "python3"} {
		testenv.Program(t, tool)
	}
	t.Parallel()
	l := start(t, lab.Options{Screens: true, Settings: testbank.ManyCalls()})
	for _, stage := range catalog.All().Built() {
		if stage.Call.Sender == catalog.AnySender {
			continue
		}
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "ca.pem"), l.Roots, 0o600); err != nil {
				t.Fatal(err)
			}
			env := append(os.Environ(), "PATH="+toolPath(t), "DATA="+l.Dir, "STAGE="+stage.Slug, "MEDIATOR="+l.Addresses.Stage(deployment.MediatorService, stage.Slug))
			typed := func(line string) string {
				command := exec.CommandContext(t.Context(), "bash", "-c", `
token() { go run ./stages token --data "$DATA" --stage "$STAGE" --user alice --json "$@" | python3 -c 'import json, sys
held = json.load(sys.stdin)
open("fields.txt", "w").write("".join(f"{n}: {v}\n" for n, v in held["fields"].items()))
open("client.txt", "w").write("OAuth-Client-Attestation: " + held["client_attestation"])
open("refresh.txt", "w").write(held["refresh_token"])'; }
sign() { go run ./stages sign --data "$DATA" -H @- "$@"; }
send() { curl -s -o answer.txt -w '%{http_code}' --noproxy '*' --cacert ca.pem -A HarbourBank/3.0 -K "$@"; }
`+line)
				command.Dir, command.Env = dir, env
				output, err := command.CombinedOutput()
				if err != nil {
					return err.Error() + ": " + string(output)
				}
				return string(output)
			}
			const pay = `sign --phone phone -d '{"from":"HB-1001","to":"HB-2001","amount":100,"currency":"EUR","reference":"mine"}' $MEDIATOR/v1/transfers < fields.txt > pay.curl`
			for _, step := range []struct{ line, want string }{
				{`token --phone phone`, ""},
				{`sign --phone phone $MEDIATOR/v1/accounts < fields.txt > call.curl && send call.curl`, "200"},
				{`send call.curl`, "401"},
				{`sign --phone phone $MEDIATOR/v1/accounts < fields.txt > call.curl && sed 's/accounts/rates/' call.curl > other.curl && send other.curl`, "401"},
				{pay + ` && send pay.curl`, "201"},
				{`sign --phone phone -d grant_type=refresh_token -d client_id=harbour-mobile -d refresh_token=$(cat refresh.txt) $MEDIATOR/token < client.txt | send -`, "200"},
				{`cp fields.txt first.txt && token --phone other && sign --phone other $MEDIATOR/v1/accounts < first.txt | send -`, "401"},
				{`sign --phone other $MEDIATOR/v1/accounts < fields.txt | send -`, "200"},
			} {
				if got := typed(step.line); got != step.want {
					answer, _ := os.ReadFile(filepath.Join(dir, "answer.txt"))
					t.Fatalf("$ %s\n%s, want %s\n%s", step.line, got, step.want, answer)
				}
			}
			if got := typed(`sign $MEDIATOR/v1/accounts < fields.txt`); !strings.Contains(got, "stages token --phone") {
				t.Errorf("without a phone: %s", got)
			}
			if got := typed(`sign --phone other --nonce made-up -d client_id=harbour-mobile $MEDIATOR/par < client.txt | send -`); got != "400" {
				t.Errorf("with somebody's nonce: %s", got)
			}
		})
	}
}
