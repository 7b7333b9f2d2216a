package manage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"keyladder/internal/problem"
)

// Read decodes the JSON body of a management call: 400 where it is not what it should be, 413
// where it is longer than 64 KiB.
func Read[T any](c echo.Context) (v T, err error) {
	decoder := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, 64<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return v, problem.New(http.StatusRequestEntityTooLarge, "too-large", "The body is too large", "Send at most 64 KiB.")
		}
		return v, BadRequest("The body is not what it should be: %v.", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return v, BadRequest("Something follows the JSON value.")
	}
	return v, nil
}

// PartOf reads which part of a list is asked for.
func PartOf(c echo.Context) (part Part, err error) {
	part.Sort = c.QueryParam("sort")
	if part.Limit, err = Number(c, "limit", MostListed, MostListed); err != nil {
		return part, err
	}
	part.From, err = Number(c, "from", 0, math.MaxInt32)
	return part, err
}

// Number reads a query parameter from 1 to most; usual is what it is where it is not there.
func Number(c echo.Context, name string, usual, most int) (int, error) {
	text := c.QueryParam(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, BadRequest("%s must be a number from 1 to %d.", name, most)
	}
	return n, nil
}

// SayChanged answers a change of many with how many those were.
func SayChanged(c echo.Context) func(int, error) error {
	return func(count int, err error) error {
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, Changed{Changed: count})
	}
}

// BadRequest is the problem of a request that can't be read.
func BadRequest(format string, values ...any) error {
	return problem.New(http.StatusBadRequest, "bad-request", "The request can't be read", fmt.Sprintf(format, values...))
}

// Unprocessable is the problem of a request that can be read, and not be carried out.
func Unprocessable(format string, values ...any) error {
	return problem.New(http.StatusUnprocessableEntity, "unprocessable", "The request can't be carried out", fmt.Sprintf(format, values...))
}

// NothingToChange is the problem of a request about something that there is not.
func NothingToChange(detail string) error {
	return problem.New(http.StatusNotFound, "no-such-resource", "There is nothing to change", detail)
}
