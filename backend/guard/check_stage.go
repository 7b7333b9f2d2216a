package guard

import (
	"net/http"
	"strings"

	"keyladder/internal/problem"
)

// resolveStage finds the stage that the path names. Nothing switches it off.
func (g *Guard) resolveStage(c *call) *Refusal {
	slug := firstSegment(c.request)
	found, ok := g.stages[slug]
	if !ok {
		return refuse(problem.New(http.StatusNotFound, "no-such-stage", "There is no such stage",
			"The first part of the path names the stage: "+g.Stages.Slugs()+"."), "the path names no stage")
	}
	c.stage = found
	if c.route.At != nil && !c.route.At(found.Policies) {
		c.route = route{name: OtherRoute} // at this stage it is none
	}
	c.policy = c.route.policy(found.Policies)
	if !found.Built {
		return refuse(problem.New(http.StatusNotImplemented, "stage-not-built", "This stage is not built yet",
			"These are: "+g.Stages.Built().Slugs()+"."), "the stage is declared, but not built")
	}
	return nil
}

// completePolicy refuses a stage whose policy leaves something open. Nothing switches it
// off.
func (g *Guard) completePolicy(c *call) *Refusal {
	if len(c.stage.missing) > 0 {
		return refuse(closed(), "the policy does not decide: %s", strings.Join(c.stage.missing, ", "))
	}
	if len(c.stage.unknown) > 0 {
		return refuse(closed(), "the policy has values that nobody knows: %s", strings.Join(c.stage.unknown, ", "))
	}
	return nil
}
