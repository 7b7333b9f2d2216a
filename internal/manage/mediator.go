package manage

import (
	"context"
	"time"
)

// MediatorSessionsPath is where the mediator has the sign-ins at providers: GET is a
// [MediatorSessionList], and POST to /end a [MediatorSessionSelection], which ends them and all that
// came of them, gives the tokens back to the provider, and answers with [Changed].
const MediatorSessionsPath = "/mediator-sessions"

// MediatorSession is what the mediator keeps of a sign-in at a provider.
type MediatorSession struct {
	ID                string     `json:"id"` // the origin of the family, and of the access tokens, that came of it
	Stage             string     `json:"stage"`
	User              string     `json:"user"`    // the bank's customer
	Subject           string     `json:"subject"` // the provider's name for the user
	Client            string     `json:"client"`
	Device            string     `json:"device"` // the installation that it belongs to
	Provider          string     `json:"provider"`
	BegunAt           time.Time  `json:"begun_at"`
	RenewedAt         *time.Time `json:"renewed_at,omitempty"` // at the provider, last
	Renewals          int        `json:"renewals"`             // at the provider
	ProviderExpiresAt time.Time  `json:"provider_expires_at"`  // of the provider's access token
	EndedAt           *time.Time `json:"ended_at,omitempty"`
	Reason            string     `json:"reason,omitempty"` // why it has ended, for people
	KeepsTokens       bool       `json:"keeps_tokens"`     // the provider's; not any more where they were given back
	Family            *Family    `json:"family,omitempty"` // of the mediator's own refresh tokens; nil: the app has got none yet
}

// MediatorSessionQuery asks for sessions; what is empty does not matter. They are sorted by user,
// client, stage, provider, begun, renewed or expires; empty: the latest first.
type MediatorSessionQuery struct {
	MediatorSessionFilter
	Part
}

// MediatorSessionFilter says which sessions are meant; what is empty does not matter.
type MediatorSessionFilter struct {
	User     string `json:"user,omitempty"`
	Client   string `json:"client,omitempty"`
	Stage    string `json:"stage,omitempty"`
	Provider string `json:"provider,omitempty"`
	Device   string `json:"device,omitempty"`
	State    string `json:"state,omitempty"`  // good or ended
	Search   string `json:"search,omitempty"` // a part of the user, the subject or the device, or a whole ID
}

// MediatorSessionList is a part of the sessions that fit a query.
type MediatorSessionList struct {
	Sessions []MediatorSession `json:"sessions"`
	Total    int               `json:"total"` // that fit
}

// MediatorSessions returns the sessions that fit a query.
func MediatorSessions(ctx context.Context, d Doer, q MediatorSessionQuery) (MediatorSessionList, error) {
	return list[MediatorSessionList](ctx, d, MediatorSessionsPath, q.Part, map[string]string{
		"user": q.User, "client": q.Client, "stage": q.Stage, "provider": q.Provider, "device": q.Device, "state": q.State, "search": q.Search,
	})
}

// MediatorSessionSelection says which sessions are meant: those with the IDs, or, where there are
// none, all that all of the other members fit.
type MediatorSessionSelection struct {
	IDs []string `json:"ids,omitempty"`
	All bool     `json:"all,omitempty"` // has to be set where nothing else is
	MediatorSessionFilter
}

// EndMediatorSessions ends sessions.
func EndMediatorSessions(ctx context.Context, d Doer, selection MediatorSessionSelection) (Changed, error) {
	return Post[Changed](ctx, d, MediatorSessionsPath+"/end", selection)
}
