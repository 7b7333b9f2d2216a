package feed

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Doer asks another program. See manage.Doer.
type Doer interface {
	Do(ctx context.Context, method, path string, in, out any) error
}

// Remote is the feed that another program serves, with manage.Feed, under the path.
func Remote[T any](d Doer, path string) Reader[T] { return remote[T]{d, path} }

type remote[T any] struct {
	doer Doer
	path string
}

// Read implements [Reader].
func (r remote[T]) Read(ctx context.Context, after Cursor, wait time.Duration) (Page[T], error) {
	query := url.Values{"after": {after.String()}, "wait": {strconv.Itoa(int(wait.Seconds()))}}
	var page Page[T]
	err := r.doer.Do(ctx, http.MethodGet, r.path+"?"+query.Encode(), nil, &page)
	return page, err
}
