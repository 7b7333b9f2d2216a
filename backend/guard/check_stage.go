package guard

import (
	"net/http"
	"slices"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// findStage refuses calls that name no stage, one that is not built, or, on a partner's route,
// one at which there is nothing for partners.
func findStage(stages catalog.Set) func(*call) *Refusal {
	forPartners := slices.DeleteFunc(stages.Built(), func(s catalog.Stage) bool { return s.API.Partners == catalog.NoPartners })
	unknown := problem.New(http.StatusNotFound, "no-such-stage", "There is no such stage",
		"The first part of the path names the stage: "+stages.Slugs()+".")
	notBuilt := problem.New(http.StatusNotImplemented, "stage-not-built", "This stage is not built yet",
		"These are: "+stages.Built().Slugs()+".")
	withoutPartners := problem.New(http.StatusNotFound, "no-such-resource", "There is nothing for partners at this stage",
		"These stages serve them: "+forPartners.Slugs()+".")
	return func(c *call) *Refusal {
		switch {
		case c.stage == nil:
			return refuse(unknown, "the path names no stage")
		case !c.stage.Built:
			return refuse(notBuilt, "the stage is declared, but not built")
		case c.plan.route.Partner && c.stage.API.Partners == catalog.NoPartners:
			return refuse(withoutPartners, "a partner's route at a stage without partners")
		}
		return nil
	}
}
