package manage

import (
	"context"
	"time"
)

// Family is the refresh tokens that came of one sign-in: each is replaced when it is used. The
// tokens themselves are kept nowhere.
type Family struct {
	ID          string       `json:"id"`
	Stage       string       `json:"stage"`
	User        string       `json:"user"`
	Client      string       `json:"client"`
	Scope       string       `json:"scope"`
	Origin      string       `json:"origin,omitempty"` // the authorization code that it came of, by its ID
	Device      string       `json:"device,omitempty"` // the installation that it belongs to; empty: it is bound to none
	BegunAt     time.Time    `json:"begun_at"`
	UsedAt      time.Time    `json:"used_at"`    // when its tokens were used last, or it was begun
	ExpiresAt   time.Time    `json:"expires_at"` // where it is not used until then
	RevokedAt   *time.Time   `json:"revoked_at,omitempty"`
	Reused      bool         `json:"reused"`      // that is why it was revoked: a used token came again
	Number      int          `json:"number"`      // of its newest token, from 1 on
	Generations []Generation `json:"generations"` // the newest first: see [MostGenerations]
}

// Generation is a refresh token of a family.
type Generation struct {
	Number   int        `json:"number"` // from 1 on
	IssuedAt time.Time  `json:"issued_at"`
	UsedAt   *time.Time `json:"used_at,omitempty"`
	Repeated int        `json:"repeated,omitempty"` // its lost answer was given again so often
	ReusedAt *time.Time `json:"reused_at,omitempty"`
}

// MostGenerations is how many generations of a family are listed: the newest, and one that was
// reused, however old it is.
const MostGenerations = 20

// FamilyQuery asks for families of refresh tokens; what is empty does not matter. They are
// sorted by user, client, stage, begun, used or number.
type FamilyQuery struct {
	FamilyFilter
	Part
}

// FamilyFilter says which families of refresh tokens are meant; what is empty does not matter.
type FamilyFilter struct {
	User   string `json:"user,omitempty"`
	Client string `json:"client,omitempty"`
	Stage  string `json:"stage,omitempty"`
	Origin string `json:"origin,omitempty"`
	State  string `json:"state,omitempty"`  // good, revoked, reused (a kind of revoked) or expired
	Search string `json:"search,omitempty"` // a part of the user or the client, or a whole ID
}

// FamilyList is a part of the families of refresh tokens that fit a query.
type FamilyList struct {
	Families []Family `json:"families"`
	Total    int      `json:"total"` // that fit
}

// Families returns the families of refresh tokens that fit a query.
func Families(ctx context.Context, d Doer, q FamilyQuery) (FamilyList, error) {
	return list[FamilyList](ctx, d, "/families", q.Part, map[string]string{
		"user": q.User, "client": q.Client, "stage": q.Stage, "origin": q.Origin, "state": q.State, "search": q.Search,
	})
}

// FamilySelection says which families of refresh tokens are meant: those with the IDs, or,
// where there are none, all that all of the other members fit.
type FamilySelection struct {
	IDs []string `json:"ids,omitempty"`
	All bool     `json:"all,omitempty"` // has to be set where nothing else is
	FamilyFilter
}
