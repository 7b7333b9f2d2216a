package level

import (
	"encoding/hex"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
)

// packageChallenge asks for bytes that nobody knew beforehand, and for what the app found out about
// its surroundings. An app that was changed and is honest is told by its measurement, whatever the
// challenge asks for; one that lies about that has to have the genuine package at hand.
var packageChallenge = Level{
	Name:       catalog.PackageChallenge,
	Challenged: true,
	Reports:    manage.ClaimNames(),
	complete:   func(e incoming) bool { return e.Answer != nil && e.Findings != nil && e.ByDevice == "" },
	appraise:   appraiseAnswer,
}

// appraiseAnswer compares the answer with the one over our own copy of the package, of which it
// reads the ranges alone.
//
//keyladder:code attestation-appraise-answer
func appraiseAnswer(v Verdict, e attestation.Evidence, c Case) (err error) {
	pkg, err := c.Open()
	if err != nil {
		return err
	}
	defer pkg.Close()
	right, err := c.Challenge.Answer(pkg, c.Size, *e.Findings)
	if err != nil {
		return err
	}
	if !attestation.EqualAnswers(e.Answer, right) {
		v.add(manage.Executables, "answer to the challenge", hex.EncodeToString(e.Answer), hex.EncodeToString(right))
	}
	addFindings(v, e)
	return nil
}

// addFindings adds what the app has found out about its surroundings.
func addFindings(v Verdict, e attestation.Evidence) {
	for _, finding := range []struct {
		found bool
		claim manage.ClaimName
		what  string
	}{
		{e.Findings.OtherSigner, manage.Executables, "signed by somebody else"},
		{e.Findings.Traced, manage.Runtime, "traced by a debugger"},
		{e.Findings.Injected, manage.Runtime, "code of others in the app"},
		{e.Findings.Unlocked, manage.Configuration, "device unlocked"},
		{e.Findings.Intercepted, manage.Configuration, "connection intercepted"},
	} {
		if finding.found {
			v.add(finding.claim, finding.what, "yes", "no")
		}
	}
}
