package guard

import (
	"fmt"
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// Refusal is what a check says that does not let a call through.
type Refusal struct {
	Problem *problem.Problem // what went wrong, for the client
	Reason  string           // private, for people who look at the traffic
	Check   catalog.Check    // of a handler; the guard knows its own

	// Answered says that the handler has written the answer, a page or a redirect. Then there
	// need be no problem.
	Answered bool
}

// Error makes a refusal one that a [Handler] can return. It is private, too.
func (r *Refusal) Error() string { return r.Reason }

func refuse(p *problem.Problem, reason string, values ...any) *Refusal {
	return &Refusal{Problem: p, Reason: fmt.Sprintf(reason, values...)}
}

// write writes the refusal as its route says.
func (r *Refusal) write(c *call) {
	if r.Answered {
		return
	}
	format := c.plan.route.Refusals
	if format == nil {
		format = problem.Details
	}
	format(c.echo.Response(), r.Problem)
}

// closed is for what is no fault of the client's, and nothing that it could mend.
func closed() *problem.Problem {
	return problem.New(http.StatusForbidden, "not-allowed", "This stage is closed", "The API can't tell who is calling, so nothing is let through.")
}
