package clients

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/internal/feed"
	"keyladder/internal/manage"
)

// Where the management API of the server that owns the clients has what a [Mirror] reads.
const (
	feedPath  = "/clients/feed"
	statePath = "/clients/state"
)

// Mirror is what a server knows about clients that another one owns. It follows the other's
// feed, and goes on with what it has while that can't be read. Limits are counted here, by
// each server for itself.
type Mirror struct {
	*Book
	owner    feed.Doer
	follower feed.Follower[change]
}

// snapshot is all clients, with their secrets, and up to where in the feed that holds.
type snapshot struct {
	At feed.Cursor `json:"at"`
	rows
}

// NewMirror makes one that knows nobody yet; [Mirror.Follow] fills it.
func NewMirror(owner feed.Doer) *Mirror {
	m := &Mirror{Book: newBook(), owner: owner}
	m.follower = feed.Follower[change]{Feed: feed.Remote[change](owner, feedPath), Wait: 20 * time.Second, Apply: m.apply, Load: m.load}
	return m
}

// Follow keeps the clients in step with the server that owns them until ctx ends.
func (m *Mirror) Follow(ctx context.Context) { m.follower.Run(ctx) }

// Health tells whether they are.
func (m *Mirror) Health() feed.Health { return m.follower.Health() }

func (m *Mirror) load(ctx context.Context) (feed.Cursor, error) {
	var all snapshot
	if err := m.owner.Do(ctx, http.MethodGet, statePath, nil, &all); err != nil {
		return feed.Cursor{}, fmt.Errorf("ask for the clients: %w", err)
	}
	m.publish(&state{apps: map[string]*App{}, keys: map[string]*Key{}}, all.rows)
	return all.At, nil
}

// apply reads all clients where something changed: they are few.
func (m *Mirror) apply(ctx context.Context, page feed.Page[change]) error {
	if len(page.Entries) == 0 {
		return nil
	}
	_, err := m.load(ctx)
	return err
}

// Serve serves the feed to the servers that know the clients from here, and to nobody else:
// it has their secrets.
func (r *Registry) Serve(routes manage.Routes) {
	routes.GET(feedPath, manage.Feed[change](r.changes))
	routes.GET(statePath, func(c echo.Context) error {
		var all snapshot
		err := r.db.WithContext(c.Request().Context()).Transaction(func(tx *gorm.DB) (err error) {
			if all.At, err = r.changes.End(tx); err != nil {
				return err
			}
			all.rows, err = readRows(tx, nil, nil)
			all.Overlap = r.config.Overlap
			return err
		})
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, all)
	})
}
