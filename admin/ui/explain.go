package ui

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/internal/problem"
)

// Explained is an error that knows how a page says it, and what to do about it.
type Explained interface {
	error
	Explain() (status int, title, text string)
}

// Trouble is such an error that is nothing else beside.
type Trouble struct {
	Status      int
	Title, Text string
}

func (t *Trouble) Error() string { return t.Title + ": " + t.Text }

// Explain implements [Explained].
func (t *Trouble) Explain() (status int, title, text string) { return t.Status, t.Title, t.Text }

// Explain says what went wrong and what to do about it.
func Explain(err error) (status int, title, text string) {
	var explained Explained
	if errors.As(err, &explained) {
		return explained.Explain()
	}
	var p *problem.Problem
	if errors.As(err, &p) {
		return p.Status, p.Title, Sentence(p.Detail)
	}
	var he *echo.HTTPError
	if errors.As(err, &he) && he.Code < http.StatusInternalServerError {
		text, _ := he.Message.(string)
		switch he.Code {
		case http.StatusNotFound:
			if text == http.StatusText(http.StatusNotFound) {
				text = "Check the address, or start from the ladder of stages."
			}
			return he.Code, "There is nothing here", text
		case http.StatusMethodNotAllowed:
			return he.Code, "This address only takes forms", "Open the page that it belongs to and use its buttons."
		case http.StatusForbidden, http.StatusMisdirectedRequest:
			return he.Code, "This was refused", text
		}
		return he.Code, "This can't be done", text
	}
	return http.StatusInternalServerError, "Something went wrong here", "The log of the admin UI says what. Trying again may help."
}

// InWords is an error for a notice.
func InWords(err error) string {
	_, title, text := Explain(err)
	return strings.TrimSpace(Sentence(title) + " " + text)
}

// Refusal is what the program had against what was typed, so that the form is shown again,
// or nil where that is not what went wrong.
func Refusal(err error) *problem.Problem {
	var p *problem.Problem
	errors.As(err, &p)
	return p
}
