package ui

import (
	"bytes"
	"fmt"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"
)

// NavItem is an entry of a navigation.
type NavItem struct{ Path, Label string }

// Page is what every page shows around its own.
type Page struct {
	Title    string
	Nav      string    // path of the part of the site that it belongs to
	Parts    []NavItem // of the site
	SignedIn bool
	CSRF     string // token of its forms
	Notice   *Notice
	Down     []Absent // programs that do not answer
	Unwell   []Unwell // and that do, but can't do all of their work
	Waiting  bool     // something is running: look again by itself
	Self     string   // this page without a fragment, with which browsers would not load it again
	PhoneURL string   // where a browser finds the phone's screen; empty: no link
}

// Absent is a program that does not answer.
type Absent struct {
	Program  string // its name for `docker compose`
	Title    string // as a sentence begins with it
	WhatToDo string
}

// Unwell is a program that can't do all of its work.
type Unwell struct {
	Program, Title string // as in [Absent]
	Reason         string // in the program's words
}

// Fields of an answer with the rows that are new in a list that keeps itself up to date.
const (
	LiveLast  = "Live-Last"  // the page's script asks for what comes after it
	LiveCount = "Live-Count" // what the list's pager says about its length; may be missing
)

// NoticeKind says how a notice is meant.
type NoticeKind string

// The kinds of notices.
const (
	Done   NoticeKind = "done"
	Failed NoticeKind = "failed"
)

// Notice is what the last action came to, shown once.
type Notice struct {
	Kind NoticeKind
	Text string
	Undo *Undo // a button that takes back what was done; nil: there is none
}

// Undo is a form that takes something back.
type Undo struct {
	Action string // its path
	Label  string // of its button
}

// Render sends a page, or nothing of it where it could not be made.
func Render(c echo.Context, status int, page templ.Component) error {
	var out bytes.Buffer
	if err := page.Render(c.Request().Context(), &out); err != nil {
		return fmt.Errorf("render the page: %w", err)
	}
	return c.HTMLBlob(status, out.Bytes())
}
