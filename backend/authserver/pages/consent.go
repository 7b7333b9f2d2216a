package pages

import "time"

// Consent is the page on which a resource owner allows a client what it asks for.
type Consent struct {
	Site
	Form
	Client   Client
	User     string
	Scopes   []string      // what the client gets, if it is allowed
	Lifetime time.Duration // of an access token
	Renewal  time.Duration // how long the client can renew it without asking; 0: it can't
	Consents string        // path of the user's page of consents; empty: consent is not remembered
}

// Consents is a user's page of the consents that they gave.
type Consents struct {
	Site
	User      string
	Given     []Given
	Withdraw  Form   // of each consent; sends [FieldConsent]
	SignOut   Form   // ends the user's session with this server
	Withdrawn string // name of the client that has just lost its access; empty: none
}

// Given is a consent that a user gave.
type Given struct {
	ID     string
	Client Client
	Scopes []string
	Since  time.Time
}
