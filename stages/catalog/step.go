package catalog

import (
	"fmt"
	"strings"
)

// step is something that a person does who carries out an attack by hand.
type step struct {
	// text may hold {api}, the address of the stage's API, {curl}, curl with what the address
	// needs, {stage}, the stage's name, {package}, the app's package in use there, and {proof},
	// the field of the app's proof.
	text string
	at   func(Policies) bool // where the step is needed; nil: everywhere
}

// Where steps are needed.
func overTLS(p Policies) bool          { return p.Call.Transport != PlainHTTP }
func withCertificates(p Policies) bool { return p.Call.Transport == MutualTLS }
func withKeys(p Policies) bool         { return p.Call.AppProof == AppKey }
func signed(p Policies) bool           { return p.Call.AppProof == Hawk }
func withUsers(p Policies) bool        { return p.Call.UserProof != NoUser }
func withoutUsers(p Policies) bool     { return p.Call.UserProof == NoUser }
func withSessions(p Policies) bool     { return p.Call.UserProof == UserSession }
func withTokens(p Policies) bool       { return p.Call.UserProof == AccessToken }
func byPassword(p Policies) bool       { return p.Auth.Offers(PasswordGrant) }
func withDevices(p Policies) bool      { return p.Call.Devices == RegisteredDevices }
func secretsInClear(p Policies) bool   { return p.Package.Secrets == ClearSecrets }
func secretsHidden(p Policies) bool    { return p.Package.Secrets == HiddenSecrets }

// Steps are what a person does who carries out the attack by hand at a stage, in order. What
// is between backquotes can be typed as it is, where Keyladder runs on its usual ports and
// stages and mobileclient stand for these programs.
func (a Attack) Steps(stage Stage) []string {
	api, curl := "https://localhost:8443/", "curl -i --cacert workshop-ca.pem"
	if stage.Call.Transport == PlainHTTP {
		api, curl = "http://localhost:8080/", "curl -i"
	}
	filled := strings.NewReplacer(
		"{api}", api+stage.Slug,
		"{curl}", fmt.Sprintf("%s -A HarbourBank/%d.0", curl, stage.Package.Release),
		"{stage}", stage.Slug,
		"{proof}", stage.Call.AppProofField(),
		"{package}", fmt.Sprintf("harbour-bank-%d.pkg", stage.Package.Release),
	)
	var steps []string
	for _, s := range a.steps {
		if s.at == nil || s.at(stage.Policies) {
			steps = append(steps, filled.Replace(s.text))
		}
	}
	return steps
}
