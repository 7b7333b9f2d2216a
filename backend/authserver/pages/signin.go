package pages

import (
	"fmt"
	"math"
	"time"

	"github.com/a-h/templ"

	"keyladder/stages/catalog"
)

// SignIn is the page on which a resource owner signs in.
type SignIn struct {
	Site
	Form
	Client *Client // that asks for access; nil: it is for the user's own page of consents
	Name   string  // that was typed before; empty: none
	Failed Failure
}

// Failure says why signing in has not worked; the zero Failure is none.
type Failure struct {
	text  string
	wrong bool // what was typed was
	wait  time.Duration
}

// Wait is after which time it makes sense to try again; 0: at once.
func (f Failure) Wait() time.Duration { return f.wait }

// The reasons why signing in does not work.
var (
	// WrongCredentials does not tell which of the two is wrong.
	WrongCredentials = Failure{text: "This name and this password do not belong together. Check both and try again.", wrong: true}
	// TooOld is for a page that was open for too long, where the user can sign in anew.
	TooOld = Failure{text: "This page was open for too long. Sign in again."}
)

// Throttled is the failure after too many attempts. The wait is rounded up to seconds.
func Throttled(wait time.Duration) Failure {
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	return Failure{wait: time.Duration(seconds) * time.Second, text: fmt.Sprintf("There were too many attempts. Wait %s and try again.", catalog.Lasting(time.Duration(seconds)*time.Second))}
}

// attributes join a field with what is said about it.
func (f Failure) attributes() templ.Attributes {
	if f.text == "" {
		return nil
	}
	attributes := templ.Attributes{"aria-describedby": "failure"}
	if f.wrong {
		attributes["aria-invalid"] = "true"
	}
	return attributes
}
