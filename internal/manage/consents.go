package manage

import (
	"context"
	"time"
)

// Consent is what a user allows a client to do at a stage.
type Consent struct {
	ID        string    `json:"id"`
	Stage     string    `json:"stage"`
	User      string    `json:"user"`
	Client    string    `json:"client"`
	Scope     string    `json:"scope"`      // sorted, with spaces between
	GivenAt   time.Time `json:"given_at"`   // first
	WidenedAt time.Time `json:"widened_at"` // when a scope was added last, or GivenAt
}

// ConsentQuery asks for consents; what is empty does not matter. They are sorted by user,
// client, stage, given or widened.
type ConsentQuery struct {
	ConsentFilter
	Part
}

// ConsentFilter says which consents are meant; what is empty does not matter.
type ConsentFilter struct {
	User   string `json:"user,omitempty"`
	Client string `json:"client,omitempty"`
	Stage  string `json:"stage,omitempty"`
	Search string `json:"search,omitempty"` // a part of the user, the client or the scope, or a whole ID
}

// ConsentList is a part of the consents that fit a query.
type ConsentList struct {
	Consents []Consent `json:"consents"`
	Total    int       `json:"total"` // that fit
}

// Consents returns the consents that fit a query.
func Consents(ctx context.Context, d Doer, q ConsentQuery) (ConsentList, error) {
	return list[ConsentList](ctx, d, "/consents", q.Part, map[string]string{
		"user": q.User, "client": q.Client, "stage": q.Stage, "search": q.Search,
	})
}

// ConsentSelection says which consents are meant: those with the IDs, or, where there are none,
// all that all of the other members fit.
type ConsentSelection struct {
	IDs []string `json:"ids,omitempty"`
	All bool     `json:"all,omitempty"` // has to be set where nothing else is
	ConsentFilter
}
