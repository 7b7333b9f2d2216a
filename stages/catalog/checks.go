package catalog

import "slices"

// Check is the name of a check that refuses calls, or of something else that stops
// attacks. Verdicts carry it, attacks are expected to be blocked by it, and people read it.
type Check string

// The guard's checks, in the order of its pipeline.
const (
	CheckStage        Check = "stage"
	CheckAddressLimit Check = "address-limit"
	CheckTransport    Check = "transport"
	CheckUserAgent    Check = "user-agent"
	CheckBody         Check = "body"
	CheckGateway      Check = "gateway"            // the call comes from there, and this very one
	CheckClientCert   Check = "client-certificate" // one is shown, and good
	CheckKeyInURL     Check = "key-in-url"
	CheckAppKey       Check = "app-key"
	CheckHawk         Check = "hawk"
	CheckIntegrity    Check = "integrity-token"    // the attestation service signed it, for this API, and it has not expired
	CheckAttested     Check = "client-attestation" // the attestation service has issued it to this client, who has its key
	CheckDPoP         Check = "dpop"               // a proof for this very call, by the key that its tokens are bound to
	CheckSignature    Check = "message-signature"  // over this very call, by that key
	CheckSignedFields Check = "signed-fields"
	CheckNonce        Check = "nonce"              // it is here for the first time
	CheckCertOfApp    Check = "certificate-of-app" // the one that is shown belongs to the app
	CheckPartner      Check = "partner"
	CheckApp          Check = "app" // one is proven
	CheckAppLimit     Check = "app-limit"
	CheckNonceKept    Check = "nonce-kept" // from now on it was here
	CheckProofNew     Check = "proof-new"  // the sender's proof or signature is here for the first time
	CheckSealedBody   Check = "sealed-body"
	CheckDevice       Check = "device"
	CheckSignIn       Check = "sign-in"
	CheckSession      Check = "session"
	CheckToken        Check = "access-token" // its issuer signed it, for this API, and it has not expired
	CheckRevoked      Check = "revoked"      // the access token was not
	CheckBinding      Check = "binding"
	CheckScope        Check = "scope"
)

// The checks of OAuth's endpoints, in the order of their phases.
const (
	CheckForm     Check = "form"          // the parameters, each once
	CheckClient   Check = "client"        // it is registered, and who it says it is
	CheckRedirect Check = "redirect-uri"  // it is one of the client's, byte for byte
	CheckGrant    Check = "grant"         // the client may use it, and it is offered
	CheckCode     Check = "code"          // this client's, fresh, and not used before
	CheckPKCE     Check = "pkce"          // the request has a challenge, and whoever redeems the code its verifier
	CheckRefresh  Check = "refresh-token" // this client's, the newest of its family, and the family lives
	CheckWanted   Check = "scope-wanted"
	CheckConsent  Check = "consent" // the user allows it
)

// The attestation service's checks. A finding about an app is none of them: it goes into a
// token, which the others look at.
const (
	CheckAttestation Check = "attestation-session" // it is open, and answered once and in time
)

// The mediator's checks, beside those that it shares with the others.
const (
	CheckDeviceLimit  Check = "device-limit"     // not too many requests of one installation
	CheckPushed       Check = "request-uri"      // it stands for a request that its client has pushed, and comes once
	CheckProvider     Check = "provider"         // its answer is to this sign-in and user agent, and it says who the user is
	CheckFamilyDevice Check = "device-of-family" // the installation is the one that has asked for the user
	CheckWAF          Check = "waf"              // the web application firewall of the gateway, where it is switched on
	CheckUpstream     Check = "upstream"         // what is behind the gateway answers: the API, or a third party
)

// The checks of the third party whose rates the bank buys.
const (
	CheckRatesKey   Check = "third-party-key"   // there is one, and it is a customer's
	CheckRatesQuota Check = "third-party-quota" // something is left of the customer's
)

// The app's own checks.
const (
	CheckTLS          Check = "tls"                    // the server is who the device's trust store says
	CheckPins         Check = "pins"                   // and its key is one that the app was shipped with
	CheckServerMAC    Check = "server-mac"             // the answer comes from somebody with the app's secret
	CheckSealedAnswer Check = "sealed-answer"          // and nobody else could read it
	CheckTransferCap  Check = "transfer-cap"           // the amount is not above what the app transfers at once
	CheckSignedIn     Check = "signed-in"              // somebody is, where that is needed
	CheckAnswerSigned Check = "answer-signature"       // the answer is the gateway's, and to this call
	CheckResponse     Check = "authorization-response" // it answers this app's own request, and is of the issuer that was asked
)

// Nobody's checks: the attacker searched for what was not there.
const (
	CheckHidden    Check = "hidden"     // secrets, in a package
	CheckNotStored Check = "not-stored" // what stands for the user, in the app's storage
	CheckNotTyped  Check = "not-typed"  // the password, into an app: the bank's own never asks for it
)

// Owner is the part that makes a check, or goes by a field of a policy.
type Owner string

// The owners.
const (
	OfGuard       Owner = "guard"
	OfApp         Owner = "app"
	OfPackage     Owner = "package" // nothing runs: it is how the package is made
	OfAuth        Owner = "authorization server"
	OfAttestation Owner = "attestation service"
	OfMediator    Owner = "mediator"
	OfRates       Owner = "rates API"
)

// ownerships say whose each check is, and which of them stop an attack without a record.
var ownerships = []struct {
	owner  Owner
	checks []Check
}{
	{OfGuard, []Check{
		CheckStage, CheckAddressLimit, CheckTransport, CheckUserAgent, CheckBody,
		CheckGateway, CheckClientCert, CheckKeyInURL, CheckAppKey, CheckHawk, CheckIntegrity, CheckAttested, CheckDPoP, CheckSignature, CheckSignedFields, CheckNonce, CheckCertOfApp, CheckPartner, CheckApp,
		CheckAppLimit, CheckNonceKept, CheckProofNew, CheckSealedBody, CheckDevice, CheckSignIn, CheckSession,
		CheckToken, CheckRevoked, CheckBinding,
		CheckScope,
	}},
	{OfApp, []Check{CheckTLS, CheckPins, CheckServerMAC, CheckSealedAnswer, CheckAnswerSigned, CheckTransferCap, CheckSignedIn, CheckResponse}},
	{OfAuth, []Check{CheckForm, CheckClient, CheckRedirect, CheckGrant, CheckCode, CheckPKCE, CheckRefresh, CheckWanted, CheckConsent}},
	{OfAttestation, []Check{CheckAttestation}},
	{OfMediator, []Check{CheckDeviceLimit, CheckPushed, CheckProvider, CheckFamilyDevice, CheckWAF, CheckUpstream}},
	{OfRates, []Check{CheckRatesKey, CheckRatesQuota}},
	{OfPackage, []Check{CheckHidden, CheckNotStored, CheckNotTyped}},
}

// Checks are those that the owner makes, in their order.
func (o Owner) Checks() []Check {
	for _, ownership := range ownerships {
		if ownership.owner == o {
			return slices.Clone(ownership.checks)
		}
	}
	return nil
}

// Owner is whose check it is; empty: it is declared nowhere.
func (c Check) Owner() Owner {
	for _, o := range ownerships {
		if slices.Contains(o.checks, c) {
			return o.owner
		}
	}
	return ""
}

// OnRecord says whether somebody has recorded a refusal where the check stops an attack.
// The others only the attacker meets: the network carries ciphertext, there is nothing to
// be found in a package, and no key in a log of URLs.
func (c Check) OnRecord() bool {
	switch c {
	case CheckTLS, CheckHidden, CheckNotStored, CheckNotTyped, CheckKeyInURL:
		return false
	}
	return c.Owner() != ""
}
