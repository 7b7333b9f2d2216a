package problem_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"

	"keyladder/internal/problem"
)

// TestFrom is about what clients are told of errors that are no problems.
func TestFrom(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err      error
		status   int
		kind     string
		reported bool
	}{
		{fmt.Errorf("wrapped: %w", problem.New(http.StatusForbidden, "tls-required", "TLS is required", "")), 403, "tls-required", false},
		{echo.ErrNotFound, 404, "not-found", false},
		{echo.ErrMethodNotAllowed, 405, "method-not-allowed", false},
		{echo.ErrBadRequest, 400, "bad-request", false},
		{echo.ErrInternalServerError, 500, "internal", true},
		{errors.New("the database is gone"), 500, "internal", true},
	} {
		reported := false
		p := problem.From(test.err, func(error) { reported = true })
		if p.Status != test.status || p.Kind() != test.kind || reported != test.reported {
			t.Errorf("%v: %d %s, reported %v", test.err, p.Status, p.Kind(), reported)
		}
	}
}
