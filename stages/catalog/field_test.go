package catalog

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEmptyPoliciesDecideNothing(t *testing.T) {
	t.Parallel()
	open := Policies{}.Undecided()
	all := Policies{}.Decisions()
	if len(open) != len(all) {
		t.Errorf("%d of %d fields are undecided: %v", len(open), len(all), open)
	}
	for _, d := range all {
		if d.Title == "" || strings.HasSuffix(d.Field, ".") {
			t.Errorf("the field %q has no JSON name or no title", d.Field)
		}
	}
}

func TestDecidedZeroIsDecided(t *testing.T) {
	t.Parallel()
	p := appKeyPolicies
	if got := p.Undecided(); len(got) > 0 {
		t.Fatalf("undecided: %v", got)
	}
	p.API.SecretOverlap = Duration{}
	if got := p.Undecided(); !slices.Equal(got, []string{"api.secret_overlap"}) {
		t.Errorf("without a duration: %v", got)
	}
	p.API.SecretOverlap = Decide(time.Duration(0))
	if got := p.Undecided(); len(got) > 0 {
		t.Errorf("with the duration 0: %v", got)
	}
}

func TestDecideByName(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ field, value, refused string }{
		{"call.user_key", "memory", ""},
		{"call.transport", "tls", ""},
		{"api.secret_overlap", "1m30s", ""},
		{"package.release", "2", ""},
		{"call.user_key", "", `call.user_key can't be "": it can be none, memory, storage`},
		{"call.user_key", "pocket", "it can be none, memory, storage"},
		{"call.colour", "red", "policies have no field"},
		{"call", "red", "policies have no field"},
		{"colour.user_key", "red", "policies have no field"},
		{"api.secret_overlap", "soon", "api.secret_overlap can't be"},
		{"package.release", "two", "package.release can't be"},
	} {
		p := appKeyPolicies
		err := p.Decide(test.field, test.value)
		if test.refused != "" {
			if err == nil || !strings.Contains(err.Error(), test.refused) || p != appKeyPolicies {
				t.Errorf("%s=%s: %v", test.field, test.value, err)
			}
			continue
		}
		i := slices.IndexFunc(p.Decisions(), func(d Decision) bool { return d.Field == test.field })
		if err != nil || p.Decisions()[i].Value != test.value {
			t.Errorf("%s=%s: %v, %+v", test.field, test.value, err, p.Decisions()[i])
		}
	}
}

// A value reads the same by itself as in the policies of a stage.
func TestInWords(t *testing.T) {
	t.Parallel()
	stage := All()[0]
	for _, d := range stage.Decisions() {
		if d.Is(stage.Call.Transport) && d.Words != InWords(stage.Call.Transport) {
			t.Errorf("%q is %q", d.Words, InWords(stage.Call.Transport))
		}
	}
	if got := InWords(Claim("unknown")); got != "unknown" {
		t.Errorf("what is not declared is %q", got)
	}
}

func TestDiffSeesAllKindsOfFields(t *testing.T) {
	t.Parallel()
	changed := appKeyPolicies.but(func(p *Policies) {
		p.Call.Transport = TLS
		p.API.SecretOverlap = Decide(30 * time.Second)
		p.Package.Release = 2
	})
	got := ""
	for _, d := range appKeyPolicies.Diff(changed) {
		got += d.To.Field + ": " + d.From.Value + " → " + d.To.Value + "\n"
		if d.To.Field == "api.secret_overlap" && (d.From.Words != "none" || d.To.Words != "30 seconds") {
			t.Errorf("in words: %q → %q", d.From.Words, d.To.Words)
		}
	}
	want := "call.transport: http → tls\napi.secret_overlap: 0s → 30s\npackage.release: 1 → 2\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	later := changed.but(func(p *Policies) { p.API.SecretOverlap = Decide(31 * time.Second) })
	if d := changed.Diff(later); len(d) != 1 {
		t.Errorf("two durations look the same: %v", d)
	}
}

func TestValuesOfBuiltStages(t *testing.T) {
	t.Parallel()
	for _, stage := range All() {
		if open := stage.Undecided(); stage.Built && len(open) > 0 {
			t.Errorf("stage %s leaves open: %v", stage.Slug, open)
		}
		if stage.Policies.Auth.Issuer == "" { // not decided on yet
			continue
		}
		if wrong := append(stage.Unknown(), stage.Contradictions()...); len(wrong) > 0 {
			t.Errorf("stage %s: %v", stage.Slug, wrong)
		}
		for _, d := range stage.Decisions() {
			if d.Words == "" {
				t.Errorf("stage %s: %s has no words", stage.Slug, d.Field)
			}
		}
	}
	p := appKeyPolicies
	p.Call.Bodies = "engraved"
	if got := p.Unknown(); !slices.Equal(got, []string{`call.bodies "engraved"`}) {
		t.Errorf("unknown: %v", got)
	}
}

func TestEachRuleIsBroken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		from   Policies
		change func(*Policies)
	}{
		"call.pins: a server without TLS":            {pinnedPolicies, func(p *Policies) { p.Call.Transport = PlainHTTP }},
		"call.key_place: the app proves":             {tlsPolicies, func(p *Policies) { p.Call.KeyPlace = NoKeySent }},
		"call.key_place: the app sends":              {hmacPolicies, func(p *Policies) { p.Call.KeyPlace = KeyInField }},
		"call.nonces: requests are signed":           {hmacPolicies, func(p *Policies) { p.Call.Nonces = NoNonces }},
		"call.nonces: nonces are remembered":         {tlsPolicies, func(p *Policies) { p.Call.Nonces = NoncesRemembered }},
		"call.bodies: bodies are sealed":             {tlsPolicies, func(p *Policies) { p.Call.Bodies = SealedBodies }},
		"call.user_proof: users sign in":             {sessionPolicies, func(p *Policies) { p.Call.Transport = PlainHTTP }},
		"call.user_proof: the app's key":             {sessionPolicies, func(p *Policies) { p.Call.AppProof = AppKey }},
		"call.user_key: the app keeps":               {hmacPolicies, func(p *Policies) { p.Call.UserKey = UserKeyInMemory }},
		"call.user_key: users get a key":             {sessionPolicies, func(p *Policies) { p.Call.UserKey = NoUserKey }},
		"call.binding: sessions are bound, but":      {hmacPolicies, func(p *Policies) { p.Call.Binding = SessionOfApp }},
		"call.binding: sessions are bound to":        {sessionPolicies, func(p *Policies) { p.Call.Devices = NoDevices }},
		"call.binding: user and device":              {sessionPolicies, func(p *Policies) { p.Call.AppProof = AppKey }},
		"api.key_in_url: the app sends":              {appKeyPolicies, func(p *Policies) { p.API.KeyInURL = KeyInURLRefused }},
		"api.secret_overlap: an old secret":          {tlsPolicies, func(p *Policies) { p.API.SecretOverlap = Decide(time.Minute) }},
		"api.authorization: rights are those of app": {hmacPolicies, func(p *Policies) { p.API.Authorization = AppAndUser }},
		"call.binding: access tokens are bound, but": {sessionPolicies, func(p *Policies) { p.Call.Binding = TokenOfClient }},
		"api.authorization: rights are those of an":  {sessionPolicies, func(p *Policies) { p.API.Authorization = AppUserToken }},
		"auth.issuer: calls carry":                   {passwordGrantPolicies, func(p *Policies) { p.Auth.Issuer = NoIssuer }},
		"auth.issuer: somebody issues":               {sessionPolicies, func(p *Policies) { p.Auth.Issuer = ResourceServer }},
		"auth.grants: access tokens":                 {passwordGrantPolicies, func(p *Policies) { p.Auth.Grants = NoGrants }},
		"auth.grants: the app asks":                  {passwordGrantPolicies, func(p *Policies) { p.Auth.Grants = ImplicitGrant }},
		"auth.grants: users sign in on a page":       {implicitGrantPolicies, func(p *Policies) { p.Auth.Issuer = ResourceServer }},
		"auth.client_auth: clients":                  {codeGrantPolicies, func(p *Policies) { p.Auth.ClientAuth = NoClientAuth }},
		"auth.client_auth: a mediator":               {mediatedPolicies, func(p *Policies) { p.Call.AppProof = AppKey }},
		"attestation.level: calls carry":             {attestedHashPolicies, func(p *Policies) { p.Attestation.Level = NotAttested }},
		"attestation.level: apps are":                {refreshPolicies, func(p *Policies) { p.Attestation.Level = PackageHash }},
		"attestation.executables: nobody":            {refreshPolicies, func(p *Policies) { p.Attestation.Executables = Watched }},
		"attestation.runtime: the app":               {attestedHashPolicies, func(p *Policies) { p.Attestation.Runtime = Enforced }},
		"call.grant: calls carry":                    {passwordGrantPolicies, func(p *Policies) { p.Call.Grant = NoGrants }},
		"call.grant: the app gets":                   {sessionPolicies, func(p *Policies) { p.Call.Grant = PasswordGrant }},
		"call.client_auth: the app authenticates":    {sessionPolicies, func(p *Policies) { p.Call.ClientAuth = ClientSecret }},
		"call.pkce: codes are bound":                 {implicitGrantPolicies, func(p *Policies) { p.Call.PKCE = S256PKCE }},
		"call.providers: users choose":               {passwordGrantPolicies, func(p *Policies) { p.Call.Providers = ChosenInApp }},
		"call.providers: the app asks":               {refreshPolicies, func(p *Policies) { p.Call.Providers = ChosenInApp }},
		"call.gateway: the gateway":                  {refreshPolicies, func(p *Policies) { p.Call.Gateway = ThroughGateway }},
		"call.binding: access tokens are bound to d": {refreshPolicies, func(p *Policies) { p.Call.Binding = TokenOfDevice }},
		"call.sender: tokens are bound":              {deviceBoundPolicies, func(p *Policies) { p.Call.Sender = AnySender }},
		"call.sender: the sender proves":             {extendedMediatorPolicies, func(p *Policies) { p.Call.Sender = DPoPProofs }},
		"attestation.level: tokens are":              {deviceBoundPolicies, func(p *Policies) { p.Attestation.Level = PackageChallenge }},
		"auth.pkce: the issuer":                      {pkceS256Policies, func(p *Policies) { p.Call.PKCE = PlainPKCE }},
		"auth.issuer: users choose":                  {extendedMediatorPolicies, func(p *Policies) { p.Auth.Issuer = AuthServer }},
		"auth.token_form: the API":                   {refreshPolicies, func(p *Policies) { p.Auth.TokenForm = OpaqueTokens }},
		"auth.rotation: refresh tokens":              {refreshPolicies, func(p *Policies) { p.Auth.Rotation = NotRefreshed }},
		"auth.requests: users sign in":               {implicitGrantPolicies, func(p *Policies) { p.Auth.Requests = NoRequests }},
		"auth.token_life: access tokens":             {passwordGrantPolicies, func(p *Policies) { p.Auth.TokenLife = NoTokens }},
		"auth.revocations: nothing is said":          {refreshPolicies, func(p *Policies) { p.Auth.Revocations = NoRevocations }},
		"package.secrets: the pins are hidden":       {hiddenPolicies, func(p *Policies) { p.Call.Pins = NotPinned }},
	} {
		if got := test.from.Contradictions(); len(got) > 0 {
			t.Errorf("%s: from the start: %v", name, got)
		}
		changed := test.from.but(test.change)
		if !slices.ContainsFunc(changed.Contradictions(), func(found string) bool { return strings.HasPrefix(found, name) }) {
			t.Errorf("%s: not found in %q", name, changed.Contradictions())
		}
	}
	if rules := len(callRules) + len(stageRules); rules != 48 {
		t.Errorf("%d rules, and 48 are tested", rules)
	}
}

func TestLasting(t *testing.T) {
	t.Parallel()
	for length, want := range map[time.Duration]string{
		-time.Second: "none", 0: "none", time.Millisecond: "less than a second", time.Second: "1 second", time.Hour: "1 hour",
		90*time.Minute + 5*time.Second: "1 hour 30 minutes", 24*time.Hour + 5*time.Second: "1 day", 30 * 24 * time.Hour: "30 days",
	} {
		if got := Lasting(length); got != want {
			t.Errorf("%v is %q, want %q", length, got, want)
		}
	}
}

func TestDecidedInJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Duration{
		`null`: {}, `"0s"`: Decide(time.Duration(0)), `"1m30s"`: Decide(90 * time.Second),
	} {
		data, err := json.Marshal(want)
		if err != nil || string(data) != text {
			t.Errorf("%s is written as %s, %v", text, data, err)
		}
		var got Duration
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is read as %v, %v", text, got, err)
		}
	}
	var number Decided[int]
	if err := json.Unmarshal([]byte("0"), &number); err != nil || number != Decide(0) {
		t.Errorf("%v, %v", number, err)
	}
	for _, text := range []string{`30`, `"soon"`, `{}`} {
		if err := json.Unmarshal([]byte(text), new(Duration)); err == nil {
			t.Errorf("%s is read as a duration", text)
		}
	}
}

// TestNothingAsked is off in every field.
func TestNothingAsked(t *testing.T) {
	t.Parallel()
	var p Policies
	p.Call, p.API = NothingAsked()
	for _, d := range p.Decisions() {
		if (strings.HasPrefix(d.Field, "call.") || strings.HasPrefix(d.Field, "api.")) && !(d.Decided && d.Off) {
			t.Errorf("%s is %q", d.Field, d.Value)
		}
	}
}

// TestOwnersOfFields are those that there are.
func TestOwnersOfFields(t *testing.T) {
	t.Parallel()
	owners := []Owner{OfGuard, OfApp, OfPackage, OfAuth, OfAttestation}
	for _, d := range (Policies{}).Decisions() {
		if !slices.Contains(owners, d.Owner) {
			t.Errorf("%s is a field of %q", d.Field, d.Owner)
		}
		if server := strings.HasPrefix(d.Field, "api."); server && d.Owner != OfGuard {
			t.Errorf("%s is a field of %q", d.Field, d.Owner)
		}
	}
}

// TestProviders: what a server offers is a policy like any other, with nothing left open.
func TestProviders(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policies Policies
		server   Issuer
		want     bool
	}{
		{refreshPolicies, AuthServer, true},
		{refreshPolicies, LiteServer, false},
		{passwordGrantPolicies, AuthServer, false},
		{appKeyPolicies, NoIssuer, false},
		{pkceS256Policies, AuthServer, true},
		{pkceS256Policies, LiteServer, true},
		{extendedMediatorPolicies, MediatorIssuer, true},
		{extendedMediatorPolicies, AuthServer, true},
		{extendedMediatorPolicies, LiteServer, true},
		{extendedMediatorPolicies, ResourceServer, false},
	} {
		auth, ok := test.policies.Provider(test.server)
		if ok != test.want || ok && auth.Issuer != test.server {
			t.Errorf("%s: %t, %+v", test.server, ok, auth)
		}
		if !ok {
			continue
		}
		p := test.policies
		p.Auth = auth
		if left := append(p.Undecided(), p.Unknown()...); len(left) > 0 {
			t.Errorf("%s: %v", test.server, left)
		}
	}
}
