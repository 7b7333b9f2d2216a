package attestation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// enforcementData is what the page of what is enforced shows.
type enforcementData struct {
	frame
	Enforced []manage.Enforcement
	Counted  map[string]manage.Watched // by stage
	Calls    map[string]calls          // by stage; nothing where the API does not say
}

// calls are those at a stage for whose tokens something that is only watched was wrong.
type calls struct {
	Total int64
	Any   int64                      // of them that would have been refused, were all enforced
	Would map[manage.ClaimName]int64 // and were that claim enforced
}

// calls counts the calls with the latest tokens that enforcing would have made failing ones.
func (p *Pages) calls(ctx context.Context, stage string) (c calls, err error) {
	watched, err := p.Service.Attestations(ctx, manage.AttestationQuery{AttestationFilter: manage.AttestationFilter{Stage: stage, Outcome: manage.WatchedOutcome}})
	if err != nil {
		return c, err
	}
	asked := manage.IntegrityCallsQuery{Stage: stage, Tokens: []string{}}
	for _, a := range watched.Attestations {
		asked.Tokens = append(asked.Tokens, a.Token)
	}
	counted, err := p.API.IntegrityCalls(ctx, asked)
	c = calls{Total: counted.Total, Would: map[manage.ClaimName]int64{}}
	for _, a := range watched.Attestations {
		c.Any += counted.Of[a.Token]
		for _, claim := range a.Claims {
			if claim.Trust == manage.Warning {
				c.Would[claim.Claim] += counted.Of[a.Token]
			}
		}
	}
	return c, err
}

func (p *Pages) enforcementPage(c echo.Context) error {
	ctx := c.Request().Context()
	data := enforcementData{Counted: map[string]manage.Watched{}, Calls: map[string]calls{}}
	enforced, err := p.Service.Enforcements(ctx)
	counted, err2 := p.Service.Watched(ctx)
	data.Enforced = enforced
	for _, watched := range counted {
		data.Counted[watched.Stage] = watched
	}
	for _, at := range enforced {
		if counted, err := p.calls(ctx, at.Stage); err == nil { // the attestations are worth showing without it
			data.Calls[at.Stage] = counted
		}
	}
	data.frame = p.frame(c, enforcementPath, "Enforcement", errors.Join(err, err2))
	return ui.Render(c, http.StatusOK, enforcementView(data))
}

// did says what a claim did, or would do, to attestations that are on record.
func did(policy catalog.Claim, total, good int, counts manage.WatchedCounts) string {
	switch {
	case policy == catalog.NotLookedAt:
		return "nobody looks"
	case total == 0:
		return "no attestation yet"
	case policy == catalog.Enforced:
		return fmt.Sprintf("%s of %s failed for it (%s)", ui.Thousands(int64(counts.Contraindicated)), attestations(total), share(counts.Contraindicated, total))
	}
	return fmt.Sprintf("%s of %s good ones would have failed (%s)", ui.Thousands(int64(counts.Would)), ui.Thousands(int64(good)), share(counts.Would, good))
}

// words are the calls that enforcing a claim would have refused.
func (c calls) words(would int64) string {
	if c.Total == 0 {
		return ""
	}
	return fmt.Sprintf("%s of %s calls (%s)", ui.Thousands(would), ui.Thousands(c.Total), share(int(would), int(c.Total)))
}

func attestations(count int) string {
	if count == 1 {
		return "1 attestation"
	}
	return ui.Thousands(int64(count)) + " attestations"
}

// share is a part of a whole in percent.
func share(part, whole int) string {
	if whole == 0 {
		return "0\u00a0%"
	}
	return fmt.Sprintf("%.1f\u00a0%%", 100*float64(part)/float64(whole))
}

// choices are what a claim can be changed to.
func choices(enforced manage.Enforcement, claim manage.ClaimName) []ui.NavItem {
	var items []ui.NavItem
	for _, policy := range []catalog.Claim{catalog.Enforced, catalog.Watched, catalog.NotLookedAt} {
		if policy != enforced.Claims[claim] && (policy == catalog.NotLookedAt || slices.Contains(enforced.Reports, claim)) {
			items = append(items, ui.NavItem{Path: string(policy), Label: policyWords(policy)})
		}
	}
	return items
}

// changes says what a version of what is in force has changed.
func changes(history []manage.EnforcementVersion, i int) string {
	if i == 0 {
		return "as the catalog has it"
	}
	var words []string
	for _, claim := range manage.ClaimNames() {
		if was, is := history[i-1].Claims[claim], history[i].Claims[claim]; was != is {
			words = append(words, fmt.Sprintf("%s: %s, was %s", strings.ToLower(claimTitles[claim]), policyWords(is), policyWords(was)))
		}
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, "; ")
}

// changeOf reads a change from a form or an address.
func (p *Pages) changeOf(values url.Values) (manage.EnforcementChange, error) {
	change := manage.EnforcementChange{
		Stage: values.Get("stage"), Claim: manage.ClaimName(values.Get("claim")), Policy: catalog.Claim(values.Get("policy")),
	}
	stage, ok := p.Stages.Lookup(change.Stage)
	if !ok || !attests(stage.Policies) || claimTitles[change.Claim] == "" {
		return change, echo.ErrNotFound
	}
	return change, nil
}

// askEnforce asks before something else is in force about a claim.
func (p *Pages) askEnforce(c echo.Context) error {
	change, err := p.changeOf(c.QueryParams())
	if err != nil {
		return err
	}
	counted, err := p.Service.Watched(c.Request().Context())
	if err != nil {
		return err
	}
	title := strings.ToLower(claimTitles[change.Claim])
	question := ui.Question{
		Action: changePath, Fields: url.Values{"stage": {change.Stage}, "claim": {string(change.Claim)}, "policy": {string(change.Policy)}},
	}
	switch change.Policy {
	case catalog.Enforced:
		question.Title, question.Button = "Enforce "+title+" at "+change.Stage+"?", "Enforce it"
		question.Text = "From the next attestation on, an app about which this is not as it should be gets a token that is good nowhere. Tokens that were issued before are accepted until they expire."
		for _, watched := range counted {
			if good := watched.Total - watched.Failing; watched.Stage == change.Stage && good > 0 {
				would := watched.Claims[change.Claim].Would
				question.About = []string{fmt.Sprintf("Of %s good attestations on record at this stage, %s would have failed: %s.", ui.Thousands(int64(good)), ui.Thousands(int64(would)), share(would, good))}
			}
		}
	case catalog.Watched:
		question.Title, question.Button = "Watch "+title+" at "+change.Stage+"?", "Watch it"
		question.Text = "From the next attestation on, this is on record and counted, and no app is refused for it."
	case catalog.NotLookedAt:
		question.Title, question.Button = "Look no more at "+title+" at "+change.Stage+"?", "Look no more"
		question.Text = "From the next attestation on, nothing about this is compared, counted or on record, and no app is refused for it."
	default:
		return echo.ErrNotFound
	}
	return p.Gate.Ask(c, question, enforcementPath)
}

func (p *Pages) enforce(c echo.Context) error {
	change, err := p.changeOf(c.Request().PostForm)
	if err != nil {
		return err
	}
	subject := fmt.Sprintf("%s at %s: %s", change.Claim, change.Stage, change.Policy)
	return p.Runner.CarryOut(c, jobs.Change{Action: "change what is enforced", Subject: subject, Stage: change.Stage}, func() (string, error) {
		var now manage.Enforcement
		err := p.Service.Quick(c.Request().Context(), http.MethodPost, manage.EnforcementPath, change, &now)
		return fmt.Sprintf("%s is %s at %s from the next attestation on: version %d of its policy.",
			claimTitles[change.Claim], policyWords(change.Policy), change.Stage, now.Version), err
	})
}
