package guard

import (
	"errors"
	"fmt"
	"slices"

	"keyladder/backend/clients"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/hawk"
)

// step is a check in its place in the pipeline.
type step struct {
	check  catalog.Check
	serves values               // it runs where a policy has one of these; none: always
	with   values               // and one of these as well; none: whatever else it says
	on     func(Route) bool     // and on these routes; nil: on all
	run    func(*call) *Refusal // nil lets the call pass
	finish finisher             // completes answers, those that refuse as well; nil: has nothing to add
}

// segments are the pipeline. The first step runs first.
type segments struct{ admission, proof, rights []step }

// pipeline is the order of the checks. See the package comment.
//
//keyladder:code guard-pipeline
func pipeline(c Config, m *memories) segments {
	apps := values{catalog.AppKey, catalog.Hawk, catalog.IntegrityToken, catalog.ByAttestation}
	known := append(apps, catalog.PartnersByCertificate)
	proven := append(known, catalog.ThroughGateway)
	signed := values{catalog.Hawk}
	bound := values{catalog.DPoPProofs, catalog.SignedMessages}
	return segments{
		admission: []step{
			{check: catalog.CheckAddressLimit, serves: values{catalog.LimitedRates}, run: limitAddress(m.addresses)},
			{check: catalog.CheckStage, run: findStage(c.Stages)},
			{check: catalog.CheckTransport, serves: values{catalog.PlainHTTP, catalog.TLS, catalog.MutualTLS}, run: transport},
			{check: catalog.CheckUserAgent, serves: values{catalog.RegisteredUserAgents}, run: userAgent(c.knowsUserAgent)},
			{check: catalog.CheckBody, run: readBody},
		},
		proof: []step{
			{check: catalog.CheckGateway, serves: values{catalog.ThroughGateway}, run: gateway(c.Forwarded, m.forwarded, c.forwardedApp)},
			{check: catalog.CheckClientCert, serves: values{catalog.MutualTLS}, run: certificateShown(clientcert.NewVerifier(c.ClientCAs))},
			{check: catalog.CheckKeyInURL, serves: values{catalog.KeyInURLRefused}, run: keyInURL},
			{check: catalog.CheckAppKey, serves: values{catalog.AppKey}, run: appKey(c.lookUp)},
			{
				check: catalog.CheckHawk, serves: values{catalog.Hawk, anyValueOf("api.secret_overlap")},
				run: signature(hawk.Verifier{Host: c.Host, Port: c.Port}, c.lookUp, m.since), finish: signAnswer,
			},
			{check: catalog.CheckIntegrity, serves: values{catalog.IntegrityToken, anyValueOf("api.secret_overlap")}, run: integrityToken(m.integrity, c.lookUpServers)},
			{check: catalog.CheckAttested, serves: values{catalog.ByAttestation}, on: attestedEndpoint, run: clientAttested(c.Attested, c.Proofs, c.attestedClient)},
			{check: catalog.CheckDPoP, serves: values{catalog.DPoPProofs}, run: dpopProof(c.Proofs, m.headers, c.origin())},
			{check: catalog.CheckSignature, serves: values{catalog.SignedMessages}, run: messageSignature(c.origin()), finish: signResponse(c.Proofs)},
			{check: catalog.CheckSignedFields, serves: values{catalog.SessionOfCall, catalog.TokenOfCall}, with: signed, run: signedFields},
			{check: catalog.CheckNonce, serves: values{catalog.NoncesRemembered}, with: signed, run: nonceIsNew(m.nonces)},
			{check: catalog.CheckCertOfApp, serves: values{catalog.MutualTLS}, with: apps, run: certificateOfApp},
			{check: catalog.CheckPartner, serves: values{catalog.PartnersByCertificate}, run: partner(func(pin string) (*clients.App, *clients.Key, error) { return c.Apps.Partner(pin) })},
			{check: catalog.CheckApp, serves: proven, run: appProven},
			{check: catalog.CheckAppLimit, serves: values{catalog.LimitedRates}, with: known, run: limitApp(c.Now)},
			{check: catalog.CheckNonceKept, serves: values{catalog.NoncesRemembered}, with: signed, run: keepNonce(m.nonces)},
			{check: catalog.CheckProofNew, serves: bound, run: proofIsNew(c.Proofs)},
			{check: catalog.CheckSealedBody, serves: values{catalog.SealedBodies, catalog.SealedPortions}, with: signed, run: openBody, finish: sealAnswer},
			{check: catalog.CheckDevice, serves: values{catalog.RegisteredDevices}, on: withDevice, run: device(c.Devices.Check)},
			{check: catalog.CheckSignIn, serves: values{catalog.UserSession}, on: byPassword, run: signIn(c.Users.SignIn)},
			{check: catalog.CheckSession, serves: values{catalog.UserSession}, on: withUser, run: findSession(c.Sessions.Find, c.Users.Lookup)},
			{check: catalog.CheckToken, serves: values{catalog.AccessToken}, on: withUser, run: accessToken(c.verify, c.owner)},
			{check: catalog.CheckRevoked, serves: values{catalog.RevokedRefused}, on: withUser, run: notRevoked(c.revoked, c.RevocationsOff)},
			{
				check: catalog.CheckBinding, serves: values{catalog.SessionOfApp, catalog.SessionOfDevice, catalog.SessionOfCall, catalog.TokenOfClient, catalog.TokenOfCall, catalog.TokenOfDevice, catalog.TokenOfKey},
				with: apps, on: withUser, run: binding,
			},
		},
		rights: []step{
			{check: catalog.CheckScope, serves: values{catalog.AppScopes, catalog.AppAndUser, catalog.AppUserToken}, with: proven, on: isRoute, run: scope},
		},
	}
}

func (s segments) steps() []step { return slices.Concat(s.admission, s.proof, s.rights) }

// Checks are the names of the checks, in the order of the pipeline.
func Checks() []catalog.Check {
	var names []catalog.Check
	for _, step := range pipeline(Config{}, &memories{}).steps() {
		names = append(names, step.check)
	}
	return names
}

// values are values of policies, such as [catalog.TLS].
type values []any

// anyValueOf is a field that is a quantity, by its name, in place of a value.
type anyValueOf string

// serves says whether what was decided is one of the values.
func (v values) serves(d catalog.Decision) bool {
	return slices.ContainsFunc(v, func(value any) bool { return d.Is(value) || value == anyValueOf(d.Field) })
}

// inForce says whether policies have one of the values.
func (v values) inForce(decisions []catalog.Decision) bool {
	return slices.ContainsFunc(decisions, func(d catalog.Decision) bool {
		return slices.ContainsFunc(v, d.Is)
	})
}

// inForce are the steps that calls have to pass where the policies are those, on some route.
func inForce(steps []step, policies catalog.Policies) (some []step) {
	decisions := policies.Decisions()
	for _, s := range steps {
		if (s.serves == nil || s.serves.inForce(decisions)) && (s.with == nil || s.with.inForce(decisions)) {
			some = append(some, s)
		}
	}
	return some
}

// fits refuses a stage whose policies leave something open, have values that nobody knows or
// that contradict each other, or demand of the guard what no check does. So that need not
// concern the checks.
func fits(stage catalog.Stage, steps []step) error {
	var faults []error
	fault := func(format string, values ...any) {
		faults = append(faults, fmt.Errorf("stage %s: "+format, append([]any{stage.Slug}, values...)...))
	}
	for _, d := range stage.Decisions() {
		switch {
		case !d.Decided:
			fault("%s is not decided", d.Field)
		case !d.Known:
			fault("%s: nobody knows the value %q", d.Field, d.Value)
		case d.Off || d.Owner != catalog.OfGuard:
		case !slices.ContainsFunc(steps, func(s step) bool { return s.serves.serves(d) }):
			fault("%s: no check of the guard serves %q", d.Field, d.Value)
		}
	}
	for _, contradiction := range stage.Contradictions() {
		fault("%s", contradiction)
	}
	return errors.Join(faults...)
}

// declared refuses a check that the catalog does not declare as the guard's, or that is there
// twice: its refusals could not be told from others.
func declared(steps []step) error {
	seen := map[catalog.Check]bool{}
	for _, s := range steps {
		if s.check.Owner() != catalog.OfGuard || seen[s.check] {
			return fmt.Errorf("the catalog declares no check %q of the guard, or it is in the pipeline twice", s.check)
		}
		seen[s.check] = true
	}
	return nil
}

// plan is what calls of a route pass at a stage.
type plan struct {
	route    *route
	stage    *catalog.Stage   // nil: there is none of that name
	policies catalog.Policies // what is asked of the calls
	steps    []step           // those that apply
	finish   []finisher       // of these steps; the last step's comes first
	passed   *traffic.Verdict // on calls that all of them let through
}

// newPlan makes the plan of a route out of the steps that its policies have in force.
func newPlan(r *route, stage *catalog.Stage, policies catalog.Policies, steps []step) *plan {
	p := &plan{route: r, stage: stage, policies: policies}
	for _, s := range steps {
		if s.on == nil || s.on(r.Route) {
			p.steps = append(p.steps, s)
		}
	}
	p.passed = &traffic.Verdict{Allowed: true, Reason: "all checks let it through"}
	if n := len(p.steps); n > 0 {
		p.passed.Check = p.steps[n-1].check
	}
	for _, s := range slices.Backward(p.steps) {
		if s.finish != nil {
			p.finish = append(p.finish, s.finish)
		}
	}
	return p
}

// decide runs the checks and says which refused the call, or which was last.
func (p *plan) decide(c *call) (refusal *Refusal, check catalog.Check) {
	for i := range p.steps {
		check = p.steps[i].check
		if refusal := p.steps[i].run(c); refusal != nil && (p.stage == nil || p.stage.Heeds(check)) {
			return refusal, check
		}
	}
	return nil, check
}
