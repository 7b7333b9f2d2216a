package catalog

// The values of a [Call] policy, but for those of how the app gets tokens.

// Transport is the least protection that a connection must have.
type Transport string

// The transports, weakest first.
const (
	PlainHTTP Transport = "http"
	TLS       Transport = "tls"
	MutualTLS Transport = "mutual-tls"
)

// Pins says whether the app compares the server's public key with pins.
type Pins string

// The pin policies.
const (
	Pinned    Pins = "pinned"
	NotPinned Pins = "not-pinned"
)

// AppProof is how the calling app proves which app it is.
type AppProof string

// The app proofs. [NoAppProof] lets any program in; no stage uses it.
const (
	AppKey     AppProof = "app-key"
	Hawk       AppProof = "hawk" // a MAC over the request under the app's secret
	NoAppProof AppProof = "none"
	// IntegrityToken is a token with which an attestation service says that the app is the genuine
	// one. It has a field of its own, and the app keeps no secret for it.
	IntegrityToken AppProof = "integrity-token"
)

// Signs says whether the proof is made anew for each call, over what is in it.
func (p AppProof) Signs() bool { return p == Hawk }

// KeyPlace says where the app puts its key, where that is its proof. Whether the API takes
// one in a URL is [KeyInURL].
type KeyPlace string

// The places.
const (
	NoKeySent       KeyPlace = "none"
	KeyInField      KeyPlace = "field"              // Authorization, always
	KeyInPublicURLs KeyPlace = "url-of-public-data" // in the query where no user is asked for, as old apps did
)

// Nonces says what becomes of the nonces of signed requests.
type Nonces string

// The nonce policies.
const (
	NoNonces         Nonces = "none"
	NoncesForgotten  Nonces = "forgotten"  // a call can be repeated while its timestamp is good
	NoncesRemembered Nonces = "remembered" // each is good once
)

// Bodies says whether bodies are encrypted inside the channel.
type Bodies string

// The body policies. No stage uses the third.
const (
	PlainBodies    Bodies = "plain"
	SealedBodies   Bodies = "sealed"          // JWE under a key derived from the app's secret
	SealedPortions Bodies = "sealed-portions" // the same, of what [Confidential] names
)

// Confidential are the members of the API's JSON that [SealedPortions] seals, in requests
// and answers.
func Confidential() []string {
	return []string{"from", "to", "amount", "balance", "guid", "session_key"}
}

// Devices says whether installations are told apart.
type Devices string

// The device policies.
const (
	NoDevices         Devices = "none"
	RegisteredDevices Devices = "registered" // the device's identifier and the GUID it got for it go with every call
)

// UserProof is how the resource owner is proven.
type UserProof string

// The user proofs.
const (
	NoUser      UserProof = "none"
	UserSession UserProof = "session"      // a random key that stands for the user's sign-in
	AccessToken UserProof = "access-token" // a signed token that says who the user is (RFC 9068)
)

// HasUsers says whether calls show which user makes them, as far as they are about one.
func (p Policies) HasUsers() bool { return p.Call.UserProof != NoUser }

// HasSessions says whether they do it with a session key of the API.
func (p Policies) HasSessions() bool { return p.Call.UserProof == UserSession }

// HasTokens says whether they do it with an access token.
func (p Policies) HasTokens() bool { return p.Call.UserProof == AccessToken }

// UserKey says where the app keeps what stands for its user, such as a session key.
type UserKey string

// The places. A key in memory ends with the app's process, and its user has to sign in again.
// One in storage stays, and is in each copy of the storage.
const (
	NoUserKey        UserKey = "none"
	UserKeyInMemory  UserKey = "memory"
	UserKeyInStorage UserKey = "storage" // if the user wants to stay signed in
)

// Binding ties app, user and request to each other.
type Binding string

// The bindings, weakest first for each proof of the user. No stage uses the first two of
// sessions.
const (
	NotBound        Binding = "none"
	SessionOfApp    Binding = "session-of-app"    // a session is good with the app that it was opened with
	SessionOfDevice Binding = "session-of-device" // ... and on the device that it was opened on
	SessionOfCall   Binding = "session-of-call"   // ... and in the calls that were signed with it
	TokenOfClient   Binding = "token-of-client"   // an access token is good with the client that it was issued to
	TokenOfCall     Binding = "token-of-call"     // ... and in the calls that were signed with it
	TokenOfDevice   Binding = "token-of-device"   // an access token is good with the client and the installation that it was issued to
	TokenOfKey      Binding = "token-of-key"      // ... and with the key of that installation alone, which is in the device's secure hardware
)

// ForTokens says whether the binding is one of access tokens.
func (b Binding) ForTokens() bool {
	return b == TokenOfClient || b == TokenOfCall || b.ToDevice()
}

// ToDevice says whether access tokens are bound to the installation that they were issued to.
func (b Binding) ToDevice() bool { return b == TokenOfDevice || b == TokenOfKey }

// Sender is how the sender of a call proves that it has the key that the call's tokens are bound to.
type Sender string

// The proofs of the sender.
const (
	AnySender      Sender = "none"           // whoever has the tokens
	DPoPProofs     Sender = "dpop"           // a signed token about the call, which goes beside it (RFC 9449)
	SignedMessages Sender = "http-signature" // a signature over the call itself, and one over its answer (RFC 9421)
)

// Gateway says how calls get to the API.
type Gateway string

// The ways.
const (
	Direct         Gateway = "direct"
	ThroughGateway Gateway = "gateway" // which is the mediator
)
