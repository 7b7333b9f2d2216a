package main

import (
	"encoding/json"
	"net/http"
	"strings"

	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/protect"
)

// show makes a screen of an answer. Only an answer without content, or with JSON that
// is not a problem, is a success, whatever its status says.
func show(a protect.Answer, status string) sdk.Screen {
	screen := sdk.Screen{Status: a.Status}
	isJSON := json.Valid(a.Body) && (a.Media == protect.JSON || a.Media == errorMedia)
	if isJSON {
		screen.Body = a.Body
	}
	if a.Status < 300 && a.Media != errorMedia {
		if screen.OK = isJSON || a.Status == http.StatusNoContent && len(a.Body) == 0; !screen.OK {
			screen.Error = "The bank's answer can't be read. Is something between the phone and the bank?"
		}
		return screen
	}
	if p := problemIn(a); p.Title != "" {
		screen.Error = strings.TrimSpace(p.Title + ". " + p.Detail)
		return screen
	}
	if refused := a.GrantError(); refused != nil {
		screen.Error = grantAdvice(refused)
		return screen
	}
	screen.Error = "The answer was " + status + ", and not in the bank's own way. Is there a proxy in between?"
	return screen
}

// grantAdvice is what the user can do where no access token is issued.
func grantAdvice(refused *protect.GrantError) string {
	switch refused.Code {
	case "invalid_grant":
		return "The name or the password is not right."
	case "invalid_client", "unauthorized_client":
		return "The bank does not accept this app any more. Update it, or install it again."
	case "slow_down", "temporarily_unavailable":
		return "The bank asks you to wait a little. Then sign in again."
	}
	return "The bank issues no access token: " + refused.Code + "."
}

// problem is what an answer says went wrong.
type problem struct{ Type, Title, Detail string }

// problemIn is the zero value where the answer says nothing of the kind.
func problemIn(a protect.Answer) (p problem) {
	if a.Media == errorMedia {
		_ = json.Unmarshal(a.Body, &p) // of what can't be read, nothing is shown
	}
	return p
}

// problemKind is that of the problem, as the bank names it; empty: the answer is none.
func problemKind(a protect.Answer) string {
	kind, _ := strings.CutPrefix(problemIn(a).Type, "urn:keyladder:problem:")
	return kind
}
