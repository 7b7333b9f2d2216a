package manage

import (
	"context"
	"net/url"
	"strconv"
	"time"
)

// MostListed is how many entries of a long list are in one answer.
const MostListed = 1000

// DeviceQuery asks for devices; what is empty does not matter.
type DeviceQuery struct {
	Stage, App string
	Search     string // a part of the identifier, or a whole ID
	LastSeen   bool   // those that were seen last come first; else those that registered last
	From       int    // so many are passed over
	Limit      int    // at most so many are listed: 1 to [MostListed]; 0: that many
}

// DeviceList is a part of the devices that fit a query.
type DeviceList struct {
	Devices []Device `json:"devices"`
	Total   int      `json:"total"` // that fit
}

// Devices returns the devices that fit a query.
func Devices(ctx context.Context, d Doer, q DeviceQuery) (DeviceList, error) {
	values := url.Values{}
	for name, value := range map[string]string{"stage": q.Stage, "app": q.App, "search": q.Search} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.LastSeen {
		values.Set("sort", "seen")
	}
	for name, value := range map[string]int{"from": q.From, "limit": q.Limit} {
		if value > 0 {
			values.Set(name, strconv.Itoa(value))
		}
	}
	return Get[DeviceList](ctx, d, "/devices?"+values.Encode())
}

// DeviceSelection says which devices are meant: those with the IDs, or, where there are none,
// all that are not banned and that all of the other members fit.
type DeviceSelection struct {
	IDs         []string   `json:"ids,omitempty"`
	Stage       string     `json:"stage,omitempty"`
	App         string     `json:"app,omitempty"`
	NeverUsed   bool       `json:"never_used,omitempty"`
	UnseenSince *time.Time `json:"unseen_since,omitempty"` // neither used nor registered since
}

// Removed is how many were removed.
type Removed struct {
	Removed int `json:"removed"`
}
