// Package problem writes refusals as RFC 9457 problem details.
//
// A [Problem] is public: it says what the client did wrong and what to do about it,
// and nothing about how the server found out. The private reason travels beside it,
// in a traffic verdict.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// ContentType is the media type of problems (RFC 9457, section 3).
const ContentType = "application/problem+json"

// Problem is a refusal as the client sees it. It is an error, so that handlers can
// return it.
type Problem struct {
	Type   string `json:"type"` // a URN: urn:keyladder:problem:tls-required
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// Field names the member of the request that is wrong; empty: it is no single one. An extension
	// member (RFC 9457, section 3.2).
	Field string `json:"field,omitempty"`

	// Header holds fields that go with the response, such as WWW-Authenticate.
	Header http.Header `json:"-"`
}

// New makes a problem. Kind is the last part of its type, such as "tls-required".
func New(status int, kind, title, detail string) *Problem {
	return &Problem{Type: "urn:keyladder:problem:" + kind, Title: title, Status: status, Detail: detail}
}

// With adds a header field to the response and returns the problem.
func (p *Problem) With(name, value string) *Problem {
	if p.Header == nil {
		p.Header = http.Header{}
	}
	p.Header.Add(name, value)
	return p
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// Kind is the last part of the type.
func (p *Problem) Kind() string { return p.Type[strings.LastIndexByte(p.Type, ':')+1:] }

// Write sends the problem.
func (p *Problem) Write(w http.ResponseWriter) {
	p.fields(w.Header())
	w.Header().Set("Content-Type", ContentType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client went away: nobody left to tell
}

// fields puts those into a header that go with the response. Problems may be prepared and
// written many times, so the header gets its own copy.
func (p *Problem) fields(header http.Header) {
	for name, values := range p.Header {
		header[name] = slices.Clone(values)
	}
	header.Set("Cache-Control", "no-store")
}

// Handler is an Echo error handler that joins errors and problems in one place: what
// is not a problem is hidden behind a 500 and given to report.
func Handler(report func(error)) echo.HTTPErrorHandler {
	return func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		From(err, report).Write(c.Response())
	}
}

// From is the problem for an error. Echo's own errors keep their status; all others
// become a 500 without detail and are given to report.
func From(err error, report func(error)) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	var he *echo.HTTPError
	if errors.As(err, &he) && he.Code < http.StatusInternalServerError {
		text := http.StatusText(he.Code) // "Not Found" is of the kind not-found
		return New(he.Code, strings.ReplaceAll(strings.ToLower(text), " ", "-"), text, "")
	}
	report(err)
	return New(http.StatusInternalServerError, "internal", "Something went wrong on the server", "The server's log says what.")
}

// Parse reads a problem from a response's body; nil where it is none.
func Parse(contentType string, body []byte) *Problem {
	if !strings.HasPrefix(contentType, ContentType) {
		return nil
	}
	var p Problem
	if json.Unmarshal(body, &p) != nil {
		return nil
	}
	return &p
}
