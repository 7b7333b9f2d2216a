package manage

import (
	"context"
	"net/url"
	"time"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/jwk"
)

// Where the attestation service's management API has what. All of it is for the admin alone.
const (
	AttestationsPath        = "/attestations"           // GET: [AttestationList]; /{reference}: [Attestation]
	AttestationSessionsPath = "/attestation-sessions"   // GET: [AttestationSessionList]
	AttestationsWatchedPath = "/attestations/watched"   // GET: []Watched
	LatenciesPath           = "/attestations/latencies" // GET: []Latencies
	ReferencesPath          = "/references"             // GET: []Reference; POST a package as it is, as [PackageType]: [Reference]
	CoveragePath            = "/references/coverage"    // GET: []Coverage
	SignersPath             = "/signers"                // GET: []Signer; POST [SignerToAccept]: [Signer]
	AttestedDevicesPath     = "/attested-devices"       // GET: [AttestedDeviceList]; /{id}: [AttestedDevice]
	EnforcementPath         = "/enforcement"            // GET: []Enforcement; POST [EnforcementChange]: [Enforcement]
)

// PackageType is the media type of a package that is uploaded.
const PackageType = "application/octet-stream"

// Trust is how far something about an app can be trusted (tiers of a trustworthiness vector,
// draft-ietf-rats-ar4si).
type Trust string

// The tiers.
const (
	NotLookedAt     Trust = "none"            // the stage does not ask
	Affirming       Trust = "affirming"       // it is as it should be
	Warning         Trust = "warning"         // it is not, and that is only watched
	Contraindicated Trust = "contraindicated" // it is not, so the token is not good
)

// ClaimName names what is found out about an app. They are the fields of
// [catalog.Attestation].
type ClaimName string

// The claims.
const (
	Executables   ClaimName = "executables"       // is it the program that was published
	Runtime       ClaimName = "runtime"           // what it runs under: a debugger, other code in it
	Configuration ClaimName = "configuration"     // how its device and its connection are set up
	Instance      ClaimName = "instance_identity" // which installation it is
)

// ClaimNames are all claims, in the order in which they are shown.
func ClaimNames() []ClaimName { return []ClaimName{Executables, Runtime, Configuration, Instance} }

// Finding is one thing that is not as it should be.
type Finding struct {
	What     string `json:"what"`     // for people: the measurement
	Reported string `json:"reported"` // what the app said
	Expected string `json:"expected"` // what that was compared with
}

// AttestedClaim is what was found out about one claim.
type AttestedClaim struct {
	Claim    ClaimName     `json:"claim"`
	Policy   catalog.Claim `json:"policy"` // that was in force
	Trust    Trust         `json:"trust"`
	Findings []Finding     `json:"findings"` // never null; empty where nothing is wrong or nobody looked
}

// Attestation is the result of one attestation, which the app is not told.
type Attestation struct {
	Reference string          `json:"reference"` // the code that the app shows
	At        time.Time       `json:"at"`        // when it was appraised
	Stage     string          `json:"stage"`
	Level     catalog.Level   `json:"level"`
	Client    string          `json:"client"`
	Release   int             `json:"release"`  // as the app said
	Device    string          `json:"device"`   // as the app said; may be empty
	Address   string          `json:"address"`  // from where it was answered
	Good      bool            `json:"good"`     // the app got a token that is good
	Watched   bool            `json:"watched"`  // it did, though something that is watched was wrong
	Policy    int             `json:"policy"`   // version of the stage's [Enforcement]
	Token     string          `json:"token"`    // jti
	Issuer    string          `json:"issuer"`   // iss of the token
	Audience  []string        `json:"audience"` // aud of the token
	Key       string          `json:"key"`      // kid of the token; a failing one is not signed with it
	ExpiresAt time.Time       `json:"expires_at"`
	TookMS    int64           `json:"took_ms"` // from challenge to evidence
	Claims    []AttestedClaim `json:"claims"`  // all four, in order

	Holder *jwk.Key        `json:"holder,omitempty"` // that the token names (cnf); nil: it is bound to none
	Said   *DeviceEvidence `json:"said,omitempty"`   // by the device's secure hardware; nil: nothing that was believed
}

// DeviceEvidence is what the secure hardware of a device said about it and about the app, and was
// believed. The key that it said was the app's is the holder of the token.
type DeviceEvidence struct {
	At           time.Time          `json:"at"`         // by the device's clock
	Device       string             `json:"device"`     // ueid, in base64url
	Maker        int                `json:"maker"`      // oemid: a Private Enterprise Number
	Model        string             `json:"model"`      // hwmodel
	System       string             `json:"system"`     // swname
	Version      string             `json:"version"`    // of the system
	OEM          bool               `json:"oem"`        // oemboot: the system is the maker's
	Locked       bool               `json:"locked"`     // the boot loader is
	SystemKey    string             `json:"system_key"` // with which the system is signed: "sha256/" + base64
	Accepted     bool               `json:"accepted"`   // that key was, then
	Debug        string             `json:"debug"`      // dbgstat
	Package      string             `json:"package"`
	Measurement  string             `json:"measurement"`  // of the package: SHA-256, hex
	Signer       string             `json:"signer"`       // of the package: "sha256/" + base64
	Certificates []ChainCertificate `json:"certificates"` // the device's first, the maker's root last
}

// ChainCertificate is a certificate that leads from a device to its maker's root.
type ChainCertificate struct {
	Serial string `json:"serial"` // hex
	Name   string `json:"name"`   // the subject's common name
}

// Outcome says how attestations ended.
type Outcome string

// The outcomes.
const (
	AnyOutcome     Outcome = ""
	GoodOutcome    Outcome = "good"
	FailingOutcome Outcome = "failing"
	WatchedOutcome Outcome = "watched" // good, though something that is watched was wrong
)

// AttestationQuery asks for results; what is empty does not matter. They are sorted by at, stage,
// client, device, release or good; the latest first where nothing is said.
type AttestationQuery struct {
	AttestationFilter
	Part
}

// AttestationFilter says which results are meant; what is empty does not matter.
type AttestationFilter struct {
	Stage   string
	Client  string
	Device  string // whole
	Outcome Outcome
	Search  string // a part of the device or the client, or a whole reference
}

// AttestationList is a part of the results that fit a query.
type AttestationList struct {
	Attestations []Attestation `json:"attestations"`
	Total        int           `json:"total"` // that fit
}

// Attestations returns the results that fit a query.
func Attestations(ctx context.Context, d Doer, q AttestationQuery) (AttestationList, error) {
	return list[AttestationList](ctx, d, AttestationsPath, q.Part, map[string]string{
		"stage": q.Stage, "client": q.Client, "device": q.Device, "outcome": string(q.Outcome), "search": q.Search,
	})
}

// AttestationBy returns the result with a reference code: 404 where there is none.
func AttestationBy(ctx context.Context, d Doer, reference string) (Attestation, error) {
	return Get[Attestation](ctx, d, AttestationsPath+"/"+url.PathEscape(reference))
}

// AttestationSession is a session in the service's memory.
type AttestationSession struct {
	ID        string    `json:"id"` // its first characters: who knows all of them can answer it
	Stage     string    `json:"stage"`
	Client    string    `json:"client"`
	Release   int       `json:"release"`
	Device    string    `json:"device"`
	State     string    `json:"state"` // waiting, answered or expired
	OpenedAt  time.Time `json:"opened_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Ranges    int       `json:"ranges"`              // of the challenge; 0: there is none
	Reference string    `json:"reference,omitempty"` // of the result; empty: not answered
}

// AttestationSessionList are the latest sessions, and how many there were since the service
// started.
type AttestationSessionList struct {
	Sessions []AttestationSession `json:"sessions"` // the latest first
	Total    int                  `json:"total"`    // in memory, that fit
	Waiting  int                  `json:"waiting"`  // for evidence, now
	Opened   int64                `json:"opened"`   // since the start
	Answered int64                `json:"answered"` // since the start
	Refused  int64                `json:"refused"`  // evidence to what was no session that waits, since the start
}

// AttestationSessions returns the latest sessions; stage and state may be empty.
func AttestationSessions(ctx context.Context, d Doer, stage, state string, part Part) (AttestationSessionList, error) {
	return list[AttestationSessionList](ctx, d, AttestationSessionsPath, part, map[string]string{"stage": stage, "state": state})
}

// Event is something that happened to a reference, a signer or a device.
type Event struct {
	At   time.Time `json:"at"`
	What string    `json:"what"` // registered, withdrawn, accepted again; banned, ban lifted
}

// AttestedDevice is an installation that attested, as it named itself.
type AttestedDevice struct {
	ID            string     `json:"id"`
	Stage         string     `json:"stage"`
	Client        string     `json:"client"`
	Device        string     `json:"device"`
	FirstSeen     time.Time  `json:"first_seen"`
	LastSeen      time.Time  `json:"last_seen"`
	Release       int        `json:"release"`        // as it said the last time
	Good          int64      `json:"good"`           // attestations
	Failing       int64      `json:"failing"`        // attestations
	LastGood      bool       `json:"last_good"`      // the last one was
	LastReference string     `json:"last_reference"` // its code
	Certificate   string     `json:"certificate"`    // serial number of its hardware's, when that was believed last; empty: never
	BannedAt      *time.Time `json:"banned_at,omitempty"`
	History       []Event    `json:"history"` // the oldest first
}

// AttestedDeviceQuery asks for devices; what is empty does not matter. They are sorted by device,
// client, stage, first, seen, good, failing or banned; the latest seen first where nothing is said.
type AttestedDeviceQuery struct {
	Stage  string
	Client string
	State  string // "served" or "banned"
	Search string // a part of the device, a whole ID, or the whole serial number of a certificate
	Part
}

// AttestedDeviceList is a part of the devices that fit a query.
type AttestedDeviceList struct {
	Devices []AttestedDevice `json:"devices"`
	Total   int              `json:"total"` // that fit
}

// AttestedDevices returns the devices that fit a query.
func AttestedDevices(ctx context.Context, d Doer, q AttestedDeviceQuery) (AttestedDeviceList, error) {
	return list[AttestedDeviceList](ctx, d, AttestedDevicesPath, q.Part, map[string]string{
		"stage": q.Stage, "client": q.Client, "state": q.State, "search": q.Search,
	})
}

// BanAttestedDevice has a device fail from its next attestation on; with lift it is accepted again.
func BanAttestedDevice(ctx context.Context, d Doer, id string, lift bool) (AttestedDevice, error) {
	action := "/ban"
	if lift {
		action = "/lift"
	}
	return Post[AttestedDevice](ctx, d, AttestedDevicesPath+"/"+url.PathEscape(id)+action, struct{}{})
}

// Enforcement is what becomes of claims at a stage.
type Enforcement struct {
	Stage   string                      `json:"stage"`
	Level   catalog.Level               `json:"level"`
	Version int                         `json:"version"` // counts up with each change; 1 is as the catalog has it
	Since   *time.Time                  `json:"since,omitempty"`
	Claims  map[ClaimName]catalog.Claim `json:"claims"` // all four
	Catalog map[ClaimName]catalog.Claim `json:"catalog"`
	Reports []ClaimName                 `json:"reports"` // about which apps report something at the level; no others can be looked at
	History []EnforcementVersion        `json:"history"` // the oldest first; the first version is as the catalog has it
}

// EnforcementVersion is what was, or is, in force at a stage from a time on.
type EnforcementVersion struct {
	Version int                         `json:"version"`
	At      *time.Time                  `json:"at,omitempty"` // nil: from the beginning
	Claims  map[ClaimName]catalog.Claim `json:"claims"`       // all four
}

// Enforcements returns what is in force at each stage, in their order.
func Enforcements(ctx context.Context, d Doer) ([]Enforcement, error) {
	return Get[[]Enforcement](ctx, d, EnforcementPath)
}

// Enforce changes what is in force.
func Enforce(ctx context.Context, d Doer, change EnforcementChange) (Enforcement, error) {
	return Post[Enforcement](ctx, d, EnforcementPath, change)
}

// EnforcementChange has a claim enforced, watched or not looked at, at a stage.
type EnforcementChange struct {
	Stage  string        `json:"stage"`
	Claim  ClaimName     `json:"claim"`
	Policy catalog.Claim `json:"policy"`
}

// Watched counts the results at a stage that are kept.
type Watched struct {
	Stage   string                      `json:"stage"`
	Total   int                         `json:"total"`
	Failing int                         `json:"failing"` // as they got no token that is good
	Would   int                         `json:"would"`   // that are good, and would not be if all were enforced that is watched
	Claims  map[ClaimName]WatchedCounts `json:"claims"`  // all four
}

// WatchedCounts counts by what was found out about a claim.
type WatchedCounts struct {
	Affirming       int `json:"affirming"`
	Warning         int `json:"warning"`
	Contraindicated int `json:"contraindicated"`
	NotLookedAt     int `json:"not_looked_at"`
	Would           int `json:"would"` // that are good, and would not be if this claim were enforced
}

// IntegrityCallsPath is where the resource server counts the calls that were made with client
// integrity tokens. POST [IntegrityCallsQuery]: [IntegrityCalls]
const IntegrityCallsPath = "/integrity-calls"

// IntegrityCallsQuery asks for the calls at a stage, and for those with certain tokens.
type IntegrityCallsQuery struct {
	Stage  string   `json:"stage"`
	Tokens []string `json:"tokens"` // jti; at most [MostListed]
}

// IntegrityCalls counts calls for which a client integrity token was good, of those tokens that the
// resource server remembers: the latest, since it was started.
type IntegrityCalls struct {
	Total int64            `json:"total"` // with any token
	Of    map[string]int64 `json:"of"`    // with those that were asked for, by jti; it lacks those that are not remembered
}

// Coverage is how likely a challenge misses a change of one byte in a package.
type Coverage struct {
	SHA256  string  `json:"sha256"`
	Package string  `json:"package"`
	Release int     `json:"release"`
	Size    int64   `json:"size"`    // bytes
	Ranges  int64   `json:"ranges"`  // of a challenge
	Bytes   int64   `json:"bytes"`   // of a range
	Missed  float64 `json:"missed"`  // probability, 0 to 1
	Seconds int64   `json:"seconds"` // for which a token is good: at least that often there is a challenge
}

// Latencies are how long the running service took to answer evidence, at a level.
type Latencies struct {
	Level   catalog.Level `json:"level"`
	Bounds  []float64     `json:"bounds_ms"` // upper ends of all columns but the last, which has none
	Good    []int64       `json:"good"`      // how many answers, by column
	Failing []int64       `json:"failing"`   // the same; who gets them can't tell
	Shapes  []AnswerShape `json:"shapes"`    // those that occurred, the most frequent first
}

// AnswerShape is what can be seen of an answer from outside but for the time that it took. What an
// app says of itself is in its token, so that answers to different apps differ in length.
type AnswerShape struct {
	Client  string   `json:"client"`
	Status  int      `json:"status"`
	Fields  []string `json:"fields"`       // names of its header fields, in alphabetical order
	Body    int      `json:"body_bytes"`   // its length
	Token   int      `json:"token_bytes"`  // of the token in it
	Header  string   `json:"token_header"` // of the token, as JSON
	Good    int64    `json:"good"`         // how many answers had this shape
	Failing int64    `json:"failing"`      // the same
}
