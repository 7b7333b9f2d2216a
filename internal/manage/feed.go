package manage

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/feed"
	"keyladder/internal/problem"
)

// maxWait bounds a long poll.
const maxWait = 30 * time.Second

// Feed serves a feed: ?after=CURSOR (nothing: from the oldest entry) and ?wait=SECONDS (none;
// 30 at most). It answers with a [feed.Page], at once when the server is about to stop. Its other
// half is [feed.Remote].
func Feed[T any](r feed.Reader[T]) echo.HandlerFunc {
	return func(c echo.Context) error {
		var after feed.Cursor
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
		polling, done := whileServing(ctx)
		defer done()
		page, err := r.Read(polling, after, min(time.Duration(seconds)*time.Second, maxWait))
		if errors.Is(err, context.Canceled) && polling.Err() != nil && ctx.Err() == nil {
			page, err = r.Read(ctx, after, 0) // the server stops: what is there now
		}
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			return nil // nobody is there any more
		}
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, page)
	}
}

type servingKey struct{}

// serving is the context of requests that a server answers while ctx lasts, and finishes after that.
func serving(ctx context.Context) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), servingKey{}, ctx)
}

// whileServing ends with the request, and when its server is asked to stop, which would otherwise
// wait for long polls.
func whileServing(request context.Context) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(request)
	server, ok := request.Value(servingKey{}).(context.Context)
	if !ok {
		return ctx, cancel
	}
	stop := context.AfterFunc(server, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
