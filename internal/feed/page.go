package feed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Cursor is how far a reader has read. The zero cursor is before the first entry.
type Cursor struct {
	Epoch  string // of the feed; it is another one when the feed was made anew
	Number uint64 // of the last entry that was read
}

// NewEpoch is a name that no other feed has.
func NewEpoch() string { return strings.ToLower(rand.Text()[:13]) }

// String is the cursor as it is sent: "epoch.number", or nothing for the zero cursor.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	return c.Epoch + "." + strconv.FormatUint(c.Number, 10)
}

// MarshalText is [Cursor.String].
func (c Cursor) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// ErrCursor means that a text is not a cursor.
var ErrCursor = errors.New("a cursor is an epoch, a dot and a number")

// UnmarshalText reads what [Cursor.String] made.
func (c *Cursor) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*c = Cursor{}
		return nil
	}
	epoch, digits, ok := strings.Cut(string(text), ".")
	number, err := strconv.ParseUint(digits, 10, 64)
	if !ok || epoch == "" || len(epoch) > 64 || err != nil {
		return fmt.Errorf("%w: %.80q", ErrCursor, text)
	}
	*c = Cursor{epoch, number}
	return nil
}

// Page is a part of a feed.
type Page[T any] struct {
	// StartOver says that the reader's cursor does not belong to this feed: everything that it
	// has is from another one. The entries begin with this feed's first.
	StartOver bool `json:"start_over,omitempty"`
	// Cut is how many entries between the cursor and the first entry here are gone.
	Cut     uint64 `json:"cut,omitempty"`
	Entries []T    `json:"entries"` // oldest first; never null
	Next    Cursor `json:"next"`    // to go on with
	More    bool   `json:"more,omitempty"`
}

// Reader reads a feed.
type Reader[T any] interface {
	// Read returns what follows the cursor, oldest first, up to the size of a page. Where there
	// is nothing to tell it waits, for as long as wait, and then returns a page without entries.
	// It ends with ctx's error.
	Read(ctx context.Context, after Cursor, wait time.Duration) (Page[T], error)
}

// Bounds of a page, so that neither side needs much memory for it.
const (
	PageEntries = 500
	PageBytes   = 1 << 20 // of entries as they are sent; a single one may be larger
)

// All reads, without waiting, what follows the cursor now. Its gaps are those of all pages.
func All[T any](ctx context.Context, r Reader[T], after Cursor) (Page[T], error) {
	all := Page[T]{Entries: []T{}, Next: after}
	for {
		page, err := r.Read(ctx, all.Next, 0)
		if err != nil {
			return all, err
		}
		all.StartOver = all.StartOver || page.StartOver
		all.Cut += page.Cut
		all.Entries = append(all.Entries, page.Entries...)
		all.Next = page.Next
		if !page.More {
			return all, nil
		}
	}
}
