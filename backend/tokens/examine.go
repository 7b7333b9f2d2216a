package tokens

import (
	"encoding/json"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Examine makes all checks on a token of a stage, revocation included, and says what each
// finds, in the order in which the guard makes them. Known says whether there is a user of that
// name; nil: the server knows no users. An error is [ErrNoIssuer].
func (b *Book) Examine(stage, text string, at time.Time, known func(user string) bool) (manage.TokenExamination, error) {
	if _, ok := b.issuers[stage]; !ok {
		return manage.TokenExamination{}, ErrNoIssuer
	}
	examined := b.Verifier(stage, at).Examine(text, at)
	out := manage.TokenExamination{Header: examined.Header, Claims: examined.Claims, Findings: []manage.TokenFinding{}}
	for _, f := range examined.Findings {
		finding := manage.TokenFinding{Check: catalog.CheckToken, Part: f.Check, Moot: f.Moot, Passed: f.Err == nil && !f.Moot}
		if f.Err != nil {
			finding.Reason = f.Err.Error()
		}
		out.Findings = append(out.Findings, finding)
	}
	var said struct {
		Subject string `json:"sub"`
		ID      string `json:"jti"`
	}
	if json.Unmarshal(examined.Claims, &said) == nil {
		out.Subject = said.Subject
	}
	if out.Subject != "" && known != nil {
		finding := manage.TokenFinding{Check: catalog.CheckToken, Part: "user", Passed: known(out.Subject)}
		if !finding.Passed {
			finding.Reason = "there is no user of that name"
		}
		out.Findings = append(out.Findings, finding)
	}
	revoked := manage.TokenFinding{Check: catalog.CheckRevoked, Moot: said.ID == "", Passed: said.ID != ""}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if _, is := b.revoked[idOf(said.ID)]; is && said.ID != "" {
		revoked.Passed, revoked.Reason = false, "it was revoked"
	}
	out.Findings = append(out.Findings, revoked)
	return out, nil
}
