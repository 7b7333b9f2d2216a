package feed

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/problem"
)

// maxWait bounds a long poll.
const maxWait = 30 * time.Second

// Handler serves a feed: ?after=CURSOR (nothing: from the oldest entry) and ?wait=SECONDS (none;
// 30 at most). It answers with a [Page].
func Handler[T any](r Reader[T]) echo.HandlerFunc {
	return func(c echo.Context) error {
		var after Cursor
		if err := after.UnmarshalText([]byte(c.QueryParam("after"))); err != nil {
			return problem.New(http.StatusBadRequest, "bad-request", "after is not a cursor", "Give the next of the last page that you have.")
		}
		seconds := 0
		if text := c.QueryParam("wait"); text != "" {
			var err error
			if seconds, err = strconv.Atoi(text); err != nil || seconds < 0 {
				return problem.New(http.StatusBadRequest, "bad-request", "wait is not a number", "Give whole seconds.")
			}
		}
		ctx := c.Request().Context()
		page, err := r.Read(ctx, after, min(time.Duration(seconds)*time.Second, maxWait))
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return nil // nobody is there any more
		}
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, page)
	}
}

// Doer asks another program. See manage.Doer.
type Doer interface {
	Do(ctx context.Context, method, path string, in, out any) error
}

// Remote is the feed that another program serves with [Handler] under the path.
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
