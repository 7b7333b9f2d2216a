package attestation

import "time"

// The messages between an app and its attestation service, in JSON. The app opens a session
// ([Opening], POST to [SessionsPath] below the stage), which answers 201 with its Location and a
// [Session] that waits. To that it posts [Evidence], once. The answer is the session as it is then,
// complete, with its [Result].

// SessionsPath is where sessions are opened, below the stage.
const SessionsPath = "/v1/sessions"

// Opening is what an app says about itself. Nothing of it is believed.
type Opening struct {
	ClientID string `json:"client_id"`
	Release  int    `json:"release"`          // of the app, from 1 on
	Device   string `json:"device,omitempty"` // the installation, as its device names it
	Size     int64  `json:"size,omitempty"`   // of its package, in bytes: a release can have been published more than once
}

// State is how far a session is.
type State string

// The states.
const (
	Waiting  State = "waiting"  // for evidence
	Complete State = "complete" // it was answered, and can't be any more
)

// Session is one round of attestation.
type Session struct {
	State     State     `json:"state"`
	Expires   time.Time `json:"expiry"` // until then it can be answered, RFC 3339
	Challenge           // without nonce and ranges where the stage asks for a hash alone; without ranges where it asks the device
	Result    *Result   `json:"result,omitempty"` // of a session that is complete
}

// Evidence is what the app says in answer to a challenge.
type Evidence struct {
	Measurement Measurement `json:"measurement,omitempty"` // of the package, as the app says; absent where its device says it
	Answer      []byte      `json:"answer,omitempty"`      // to the challenge, where there is one; base64
	Findings    *Findings   `json:"findings,omitempty"`    // that the answer is over, or what the device signs
	ByDevice    string      `json:"evidence,omitempty"`    // what the device says and signs, where it is asked (package evidence)
}

// Result is what the app is told, whatever was found out about it.
type Result struct {
	Token     string `json:"token"`      // a client integrity token, that may be good
	ExpiresIn int64  `json:"expires_in"` // seconds
	Reference string `json:"reference"`  // by which an admin finds what was found out

	// ClientAttestation is a client attestation for an authorization server (draft-ietf-oauth-attestation-based-client-auth),
	// that may be good; where the app has a key of its own.
	ClientAttestation string `json:"client_attestation,omitempty"`
}
