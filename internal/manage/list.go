package manage

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// MostListed is how many entries of a long list are in one answer.
const MostListed = 1000

// Part says which part of a long list is asked for, and in which order.
type Part struct {
	// Sort is what the list is sorted by, with a "-" in front of it for the other way round;
	// each query says what there is. Empty: the latest first, or by name.
	Sort  string
	From  int // so many are passed over
	Limit int // at most so many are listed: 1 to [MostListed]; 0: that many
}

// Maker says whose entries are meant: what attacks and other runs of the workshop leave behind
// is marked, so that it does not hide what others did.
type Maker string

// The makers.
const (
	Anyone      Maker = ""
	Workshop    Maker = "workshop" // attacks, and runs of the genuine app around them
	NotWorkshop Maker = "others"
)

// DeviceQuery asks for devices; what is empty does not matter. They are sorted by identifier,
// app, stage, registered, seen or banned.
type DeviceQuery struct {
	DeviceFilter
	Part
}

// DeviceFilter says which devices are meant; what is empty does not matter.
type DeviceFilter struct {
	Stage  string `json:"stage,omitempty"`
	App    string `json:"app,omitempty"`
	Search string `json:"search,omitempty"` // a part of the identifier, or a whole ID
	State  string `json:"state,omitempty"`  // "served" or "banned"
	By     Maker  `json:"by,omitempty"`
}

// DeviceList is a part of the devices that fit a query.
type DeviceList struct {
	Devices []Device `json:"devices"`
	Total   int      `json:"total"` // that fit
}

// Devices returns the devices that fit a query.
func Devices(ctx context.Context, d Doer, q DeviceQuery) (DeviceList, error) {
	return list[DeviceList](ctx, d, "/devices", q.Part, map[string]string{
		"stage": q.Stage, "app": q.App, "search": q.Search, "state": q.State, "by": string(q.By),
	})
}

// DeviceSelection says which devices are meant: those with the IDs, or, where there are none,
// all that all of the other members fit.
type DeviceSelection struct {
	IDs []string `json:"ids,omitempty"`
	All bool     `json:"all,omitempty"` // has to be set where nothing else is
	DeviceFilter
	NeverUsed   bool       `json:"never_used,omitempty"`   // and not banned
	UnseenSince *time.Time `json:"unseen_since,omitempty"` // neither used nor registered since
}

// SessionQuery asks for sessions that are good now; what is empty does not matter. They are
// sorted by user, app, stage, device, created or used.
type SessionQuery struct {
	SessionFilter
	Part
}

// SessionFilter says which sessions are meant; what is empty does not matter.
type SessionFilter struct {
	User   string `json:"user,omitempty"`
	App    string `json:"app,omitempty"`
	Stage  string `json:"stage,omitempty"`
	Search string `json:"search,omitempty"` // a part of the user, the app or the device, or a whole ID
	By     Maker  `json:"by,omitempty"`
}

// SessionList is a part of the sessions that fit a query.
type SessionList struct {
	Sessions []Session `json:"sessions"`
	Total    int       `json:"total"` // that fit
}

// Sessions returns the sessions that fit a query.
func Sessions(ctx context.Context, d Doer, q SessionQuery) (SessionList, error) {
	return list[SessionList](ctx, d, "/sessions", q.Part, map[string]string{
		"user": q.User, "app": q.App, "stage": q.Stage, "search": q.Search, "by": string(q.By),
	})
}

// SessionSelection says which sessions are meant: those with the IDs, or, where there are none,
// all that all of the other members fit.
type SessionSelection struct {
	IDs []string `json:"ids,omitempty"`
	All bool     `json:"all,omitempty"` // has to be set where nothing else is
	SessionFilter
}

// UserQuery asks for users; what is empty does not matter. They are sorted by name, role,
// sessions, tokens, families, consents or failed.
type UserQuery struct {
	Search string // a part of the name
	Part
}

// UserList is a part of the users that fit a query.
type UserList struct {
	Users []User `json:"users"`
	Total int    `json:"total"` // that fit
}

// Users returns the users that fit a query.
func Users(ctx context.Context, d Doer, q UserQuery) (UserList, error) {
	return list[UserList](ctx, d, "/users", q.Part, map[string]string{"search": q.Search})
}

func list[T any](ctx context.Context, d Doer, path string, part Part, filter map[string]string) (T, error) {
	values := url.Values{}
	filter["sort"] = part.Sort
	for name, value := range filter {
		if value != "" {
			values.Set(name, value)
		}
	}
	for name, value := range map[string]int{"from": part.From, "limit": part.Limit} {
		if value > 0 {
			values.Set(name, strconv.Itoa(value))
		}
	}
	return Get[T](ctx, d, path+"?"+values.Encode())
}

// Changed is how many entries a bulk change was about.
type Changed struct {
	Changed int `json:"changed"`
}

// Installation is an identifier that was registered at a stage, or may have been.
type Installation struct {
	Stage      string `json:"stage"`
	Identifier string `json:"identifier"`
}

// MarkWorkshop marks devices with these identifiers, and the sessions on them, as the workshop's.
func MarkWorkshop(ctx context.Context, resource Doer, made []Installation) error {
	for batch := range slices.Chunk(made, 500) { // a body may be 64 KiB long
		if _, err := Post[Changed](ctx, resource, "/workshop", batch); err != nil {
			return err
		}
	}
	return nil
}
