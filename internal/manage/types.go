package manage

import (
	"time"

	"keyladder/stages/catalog"
)

// Kind tells what calls the API.
type Kind string

// The kinds. A partner is a server, whose certificate is not in its users' hands.
const (
	MobileApp Kind = "app"
	Partner   Kind = "partner"
	// ResourceServer is a client of OAuth that is shown access tokens, and may ask what they stand
	// for (RFC 7662).
	ResourceServer Kind = "resource-server"
)

// App is a registered app. Its first key equals its ID.
type App struct {
	ID           string    `json:"id"`   // the client ID: [a-z0-9-]
	Kind         Kind      `json:"kind"` // empty: an app
	Name         string    `json:"name"`
	UserAgent    string    `json:"user_agent"` // product token that its User-Agent field starts with
	Scopes       []string  `json:"scopes"`
	Tier         string    `json:"tier"`                    // of service, which has the limits; empty: they are the app's own
	PerSecond    float64   `json:"per_second"`              // rate limit: calls a second over time
	Burst        int       `json:"burst"`                   // and at once
	Certificates []string  `json:"certificates"`            // pins of its client certificates: "sha256/" + base64
	RedirectURIs []string  `json:"redirect_uris,omitempty"` // to which the authorization server may send its users back
	Public       bool      `json:"public,omitempty"`        // a client of OAuth that could keep no secret
	ServersKey   string    `json:"servers_key,omitempty"`   // the ID of a key whose secret servers share and the app does not have; empty: there is none
	CreatedAt    time.Time `json:"created_at"`
	Keys         []Key     `json:"keys"`
}

// Key is what an app shows. It is the ID alone, and where calls are signed a secret
// that both ends know goes with it.
type Key struct {
	ID           string     `json:"id"`
	App          string     `json:"app"`
	Servers      bool       `json:"servers,omitempty"` // its secret is shared by servers alone
	CreatedAt    time.Time  `json:"created_at"`
	RevokedAt    *time.Time `json:"revoked_at,omitempty"`
	LastAccepted *time.Time `json:"last_accepted,omitempty"`
	LastRefused  *time.Time `json:"last_refused,omitempty"`
	LastRefusal  string     `json:"last_refusal,omitempty"` // the private reason
}

// Tier is a tier of service: the limits of the apps that are in it, of each for itself.
type Tier struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"per_second"` // calls a second over time
	Burst     int     `json:"burst"`      // and at once
}

// TierChange changes a tier; what is nil stays as it is.
type TierChange struct {
	PerSecond *float64 `json:"per_second,omitempty"`
	Burst     *int     `json:"burst,omitempty"`
}

// AppChange changes an app; what is nil stays as it is. With limits of its own, but no tier, the
// app leaves its tier.
type AppChange struct {
	Name         *string   `json:"name,omitempty"`
	UserAgent    *string   `json:"user_agent,omitempty"`
	Scopes       *[]string `json:"scopes,omitempty"`
	RedirectURIs *[]string `json:"redirect_uris,omitempty"`
	Tier         *string   `json:"tier,omitempty"` // whose limits it has from now on; "": its own
	PerSecond    *float64  `json:"per_second,omitempty"`
	Burst        *int      `json:"burst,omitempty"`
}

// Usage counts the calls of an app to a route at a stage on a day.
type Usage struct {
	Day     string `json:"day"` // UTC, 2006-01-02
	App     string `json:"app"` // empty: no app was proven
	Stage   string `json:"stage"`
	Route   string `json:"route"` // GET /v1/accounts/{id}
	Served  int64  `json:"served"`
	Refused int64  `json:"refused"`
}

// SourceKind is a kind of where calls come from.
type SourceKind string

// The kinds. Users are known only where a stage proves them.
const (
	ByUser    SourceKind = "user"
	ByAddress SourceKind = "address" // IPv6: the /64
	ByAgent   SourceKind = "agent"   // User-Agent field, its first 64 bytes
)

// SourceKinds are all kinds.
func SourceKinds() []SourceKind { return []SourceKind{ByUser, ByAddress, ByAgent} }

// SourceQuery selects sources of calls.
type SourceQuery struct {
	Kind   SourceKind
	Days   int    // the latest ones, today included
	Stage  string // empty: all
	App    string // empty: all, and those of no proven app
	Search string // part of the value; upper and lower case ASCII letters are the same
	From   int    // how many to leave out
	Limit  int
}

// SourceList is who called most, by all their calls.
type SourceList struct {
	Sources []Source `json:"sources"`
	Total   int      `json:"total"`  // that fit
	Others  Calls    `json:"others"` // of all that there was no room to list, whatever is searched for
}

// Source is where calls came from.
type Source struct {
	Value   string `json:"value"` // a user's name, an address or a User-Agent
	LastDay string `json:"last_day"`
	Calls
}

// Calls are how many were let through by the guard, and how many it refused.
type Calls struct {
	Served  int64 `json:"served"`
	Refused int64 `json:"refused"`
}

// User is a customer or somebody who works for the bank.
type User struct {
	Name           string     `json:"name"`
	Staff          bool       `json:"staff"`
	Sessions       int        `json:"sessions"`           // that are good now
	Tokens         int        `json:"tokens,omitempty"`   // access tokens that are good now
	Families       int        `json:"families,omitempty"` // of refresh tokens that are good now
	Consents       int        `json:"consents,omitempty"`
	FailedSignIns  int        `json:"failed_sign_ins,omitempty"` // that still count against the next ones
	ThrottledUntil *time.Time `json:"throttled_until,omitempty"` // for devices that are new to the user
}

// Session is a user's session. Its key is known to the app alone.
type Session struct {
	ID         string    `json:"id"` // not the key, nor made from it
	User       string    `json:"user"`
	App        string    `json:"app"`
	Stage      string    `json:"stage"`
	Device     string    `json:"device,omitempty"` // identifier
	CreatedAt  time.Time `json:"created_at"`
	LastUsedAt time.Time `json:"last_used_at"`
	ExpiresAt  time.Time `json:"expires_at"`         // whatever happens
	Workshop   bool      `json:"workshop,omitempty"` // an attack, or a run beside one, has opened it
}

// Device is a registered installation.
type Device struct {
	ID           string     `json:"id"`
	Stage        string     `json:"stage"`
	Identifier   string     `json:"identifier"` // as the device told it
	App          string     `json:"app"`
	RegisteredAt time.Time  `json:"registered_at"`
	LastSeen     *time.Time `json:"last_seen,omitempty"`
	BannedAt     *time.Time `json:"banned_at,omitempty"`
	Workshop     bool       `json:"workshop,omitempty"` // an attack, or a run beside one, has registered it
}

// Secret is a key's secret.
type Secret struct {
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

// Account is an account of Harbour Bank.
type Account struct {
	ID       string `json:"id"`
	Owner    string `json:"owner"`
	Name     string `json:"name"`
	Balance  int64  `json:"balance"` // in minor units of Currency
	Currency string `json:"currency"`
	Frozen   bool   `json:"frozen"`
}

// Transfer is a booked transfer.
type Transfer struct {
	ID        int64     `json:"id"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Amount    int64     `json:"amount"` // in minor units of Currency
	Currency  string    `json:"currency"`
	Reference string    `json:"reference"`
	BookedAt  time.Time `json:"booked_at"`
	App       string    `json:"app"`            // the proven app
	User      string    `json:"user,omitempty"` // the proven user
	Stage     string    `json:"stage"`
}

// Ledger is the state of all accounts.
type Ledger struct {
	Accounts []Account `json:"accounts"`
	Sum      int64     `json:"sum"` // over all accounts; it never changes
}

// PairingPath is where the phone gives a code for its screen.
const PairingPath = "/phone/pairings"

// Pairing is a code that pairs one browser with the phone's screen, at /pair?code=CODE.
type Pairing struct {
	Code    string `json:"code"`
	Seconds int    `json:"seconds"` // for which it is good
}

// Package is an installed or published app package.
type Package struct {
	Name     string   `json:"name"`    // com.harbourbank.app
	Label    string   `json:"label"`   // Harbour Bank
	Release  int      `json:"release"` // 1 to 3
	Signer   string   `json:"signer"`  // pin of the signer's public key: "sha256/" + base64
	Genuine  bool     `json:"genuine"` // the signer is the bank's developer
	SHA256   string   `json:"sha256"`  // of the file, hex: the device's measurement
	Size     int64    `json:"size"`    // bytes
	Schemes  []string `json:"schemes"` // URI schemes that it claims
	Filename string   `json:"filename"`

	// Identifier is what the phone calls the installation, and what its sessions and devices
	// are registered under; empty: the app has not asked for it yet, or it is not installed.
	Identifier string `json:"identifier,omitempty"`
}

// Phone is the state of the phone.
type Phone struct {
	Stage    string    `json:"stage"`
	Packages []Package `json:"packages"`
}

// Call is one call that the genuine app made when it was asked to run, or one that is like
// the app's but for one thing, and must be refused for that.
type Call struct {
	What     string        `json:"what"`   // rates, accounts, transfer
	Status   int           `json:"status"` // HTTP; 0: no response
	OK       bool          `json:"ok"`
	Error    string        `json:"error,omitempty"`    // what the app showed to its user
	Check    catalog.Check `json:"check,omitempty"`    // that has to refuse it; empty: it has to be served
	Exchange string        `json:"exchange,omitempty"` // where Check is given: what the records know it by
}

// Run is what the genuine app did at a stage.
type Run struct {
	Stage string `json:"stage"`
	OK    bool   `json:"ok"`
	Calls []Call `json:"calls"`

	// Identifier is what a phone calls the app that was there for this run alone; empty: the app
	// ran on the phone itself, or has registered nowhere.
	Identifier string `json:"identifier,omitempty"`
}

// Brief is what an attacker is told.
type Brief struct {
	Stage           string   `json:"stage"`
	Attack          string   `json:"attack"`
	Reference       string   `json:"reference"`        // for transfers of the attacker's own
	VictimReference string   `json:"victim_reference"` // of the payment that the victim makes meanwhile
	AccessLog       []string `json:"access_log,omitempty"`
	LateBySeconds   int      `json:"late_by_seconds,omitempty"` // for how long a thief of codes waits; 0: not at all
}

// Report is what an attacker brings home. Nothing in it is believed.
type Report struct {
	Steps      []string      `json:"steps"`                // what it did, for people; no secrets
	StepsAt    []time.Time   `json:"steps_at"`             // when each step was done
	Stolen     []string      `json:"stolen,omitempty"`     // texts that it took and called with; they are for marking where they stand in messages
	Claim      bool          `json:"claim"`                // it believes that it succeeded
	Data       string        `json:"data,omitempty"`       // what it read, when data was the goal
	Served     int           `json:"served,omitempty"`     // calls that were served, when exceeding the limit was the goal
	Allowed    int           `json:"allowed,omitempty"`    // calls that the limit as announced would have allowed meanwhile
	Check      catalog.Check `json:"check,omitempty"`      // what stopped it, where only the attacker can tell
	Obstacle   string        `json:"obstacle,omitempty"`   // the same for people
	Error      string        `json:"error,omitempty"`      // it could not be carried out: neither succeeded nor blocked
	Impossible string        `json:"impossible,omitempty"` // it can't be carried out on this operating system, and why
}

// Cell is a cell of the matrix.
type Cell struct {
	Stage    string        `json:"stage"`
	Attack   string        `json:"attack"`
	Expected string        `json:"expected"`
	Outcome  string        `json:"outcome"`
	Check    catalog.Check `json:"check"`    // what blocked it
	Reason   string        `json:"reason"`   // for people
	Evidence []string      `json:"evidence"` // never null
	Steps    []string      `json:"steps"`    // never null
	Tries    int           `json:"tries"`    // how often it was carried out: 0 where there is nothing to attack, 2 where the first try showed nothing
	MS       int64         `json:"ms"`

	// From and To enclose the attack itself, without the runs of the genuine app around it:
	// the traffic of that time is the attack's. Both are zero where none was carried out.
	From time.Time `json:"-"`
	To   time.Time `json:"-"`
	// StepsAt is when each step was done, where that is known.
	StepsAt []time.Time `json:"-"`

	Stolen []string   `json:"-"` // texts that the attack took and called with, or read
	Booked []Transfer `json:"-"` // what its goal was to book
}

// Genuine is a run of the genuine app in the matrix.
type Genuine struct {
	Stage  string `json:"stage"`
	OK     bool   `json:"ok"`
	Reason string `json:"reason"` // why not
	MS     int64  `json:"ms"`
}

// Matrix is the result of a matrix run.
type Matrix struct {
	Cells   []Cell    `json:"cells"`
	Genuine []Genuine `json:"genuine"`
}
