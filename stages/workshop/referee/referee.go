// Package referee decides what an attack achieved.
//
// It believes neither the attacker nor the app: whether money moved is read from the
// ledger, how many calls were served from the usage statistics, and which check refused
// from the traffic records of the servers and of the app. An attack that neither reached
// its goal nor met a protection is inconclusive, and so is one around which the genuine
// app does not work.
package referee

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// Referee judges attacks on one deployment.
type Referee struct {
	stages   catalog.Set
	resource *manage.Client   // has the ledger, the usage and the access log
	station  *manage.Client   // where attacks are carried out
	auth     *manage.Client   // has what is switched on against stolen codes
	servers  []*manage.Client // they decide about calls, and have that on record
}

// New makes a referee who looks at the servers of a deployment, given the clients of all its
// programs, and sends the attacker's station to work.
func New(stages catalog.Set, programs map[deployment.Role]*manage.Client) *Referee {
	r := &Referee{stages: stages, resource: programs[deployment.Resource], station: programs[deployment.Attacker], auth: programs[deployment.Auth]}
	for _, role := range deployment.Servers() {
		r.servers = append(r.servers, programs[role])
	}
	return r
}

// markTime is how long marking may take, after a run that somebody has cancelled, too.
const markTime = 10 * time.Second

// markMade marks what the station has registered as the workshop's, so that in a deployment that
// others use it does not hide what is theirs. A run whose marks fail counts all the same.
func (r *Referee) markMade(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTime)
	defer cancel()
	made, err := manage.Post[[]manage.Installation](ctx, r.station, "/installations/take", nil)
	if err == nil && len(made) > 0 {
		err = manage.MarkWorkshop(ctx, r.resource, made)
	}
	if err != nil {
		slog.Warn("what a run has registered could not be marked as the workshop's", "error", err)
	}
}

// Genuine lets the genuine app run on a fresh device and verifies on the ledger that it
// was served.
func (r *Referee) Genuine(ctx context.Context, stage string) manage.Genuine {
	genuine, _ := r.genuine(ctx, stage, false)
	return genuine
}

// GenuineAlone is Genuine, and verifies that the API refuses what the stages up to this one
// have closed: calls like the app's, but for one thing each, of which the check that is
// meant for it has to have been the one that refused them.
func (r *Referee) GenuineAlone(ctx context.Context, stage string) manage.Genuine {
	genuine, _ := r.genuine(ctx, stage, true)
	return genuine
}

// genuine also returns the reference of the app's transfer, which afterwards only the
// victim's account history holds.
func (r *Referee) genuine(ctx context.Context, stage string, strictly bool) (manage.Genuine, string) {
	defer r.markMade(ctx)
	begin, reference := time.Now(), newReference()
	reason := r.tryGenuine(ctx, stage, reference, strictly)
	return manage.Genuine{Stage: stage, OK: reason == "", Reason: reason, MS: time.Since(begin).Milliseconds()}, reference
}

func (r *Referee) tryGenuine(ctx context.Context, stage, reference string, strictly bool) (reason string) {
	before, err := r.ends(ctx)
	if err != nil {
		return err.Error()
	}
	run, err := manage.Post[manage.Run](ctx, r.station, "/genuine", map[string]any{"stage": stage, "reference": reference, "strictly": strictly})
	if err != nil {
		return err.Error()
	}
	for _, call := range run.Calls {
		if !call.OK {
			return fmt.Sprintf("%s: %s", call.What, call.Error)
		}
	}
	if !run.OK {
		return "the app did not run"
	}
	booked, err := r.booked(ctx, stage, reference)
	if err != nil {
		return err.Error()
	}
	if len(booked) != 1 {
		return fmt.Sprintf("the app's transfer was booked %d times", len(booked))
	}
	if !strictly {
		return ""
	}
	recorded, dropped, err := r.recorded(ctx, before)
	if err != nil {
		return err.Error()
	}
	reason = unrefused(recorded, run.Calls)
	if reason != "" && dropped {
		reason += " (records were dropped before they were read)"
	}
	return reason
}

// ends are the ends of what the servers have on record.
func (r *Referee) ends(ctx context.Context) ([]feed.Cursor, error) {
	ends := make([]feed.Cursor, len(r.servers))
	for i, server := range r.servers {
		var err error
		if ends[i], err = server.TrafficEnd(ctx); err != nil {
			return nil, err
		}
	}
	return ends, nil
}

// recorded is what the servers have on record since these ends, oldest first. Dropped says
// that some of it is gone.
func (r *Referee) recorded(ctx context.Context, ends []feed.Cursor) (messages []traffic.Message, dropped bool, err error) {
	for i, server := range r.servers {
		page, err := server.Traffic(ctx, ends[i])
		if err != nil {
			return nil, false, err
		}
		messages, dropped = append(messages, page.Entries...), dropped || page.Cut > 0 || page.StartOver
	}
	slices.SortStableFunc(messages, func(a, b traffic.Message) int { return a.At.Compare(b.At) })
	return messages, dropped, nil
}

// unrefused says of which call it is not on record that the check which has to refuse it
// did; empty: there is none.
func unrefused(recorded []traffic.Message, calls []manage.Call) string {
	verdicts := map[string]*traffic.Verdict{}
	for _, m := range recorded {
		// A server that passes a call on records that after the other has refused it.
		if m.Verdict != nil && (verdicts[m.Exchange] == nil || verdicts[m.Exchange].Allowed) {
			verdicts[m.Exchange] = m.Verdict
		}
	}
	for _, call := range calls {
		if call.Check == "" {
			continue
		}
		switch verdict := verdicts[call.Exchange]; {
		case verdict == nil:
			return call.What + ": nothing about it is on record"
		case verdict.Allowed:
			return call.What + ": no check refused it"
		case verdict.Check != call.Check:
			return fmt.Sprintf("%s: refused by %s, not by %s (%s)", call.What, verdict.Check, call.Check, verdict.Reason)
		}
	}
	return ""
}

// booked are the transfers with that reference that were ordered at that stage. All
// stages share the ledger: what a weaker one booked says nothing about this one.
func (r *Referee) booked(ctx context.Context, stage, reference string) ([]manage.Transfer, error) {
	booked, err := r.resource.Transfers(ctx, reference)
	return slices.DeleteFunc(booked, func(b manage.Transfer) bool { return b.Stage != stage }), err
}

// Attack has one attack carried out and judges it. The genuine app runs before and
// after.
func (r *Referee) Attack(ctx context.Context, stageSlug, attackName string) manage.Cell {
	return r.attack(ctx, stageSlug, attackName, func(*manage.Brief) {})
}

// attack is the same, with more in the brief.
func (r *Referee) attack(ctx context.Context, stageSlug, attackName string, add func(*manage.Brief)) manage.Cell {
	begin := time.Now()
	cell := manage.Cell{Stage: stageSlug, Attack: attackName, Evidence: []string{}, Steps: []string{}}
	finish := func(outcome catalog.Outcome, reason string) manage.Cell {
		cell.Outcome, cell.Reason, cell.MS = string(outcome), reason, time.Since(begin).Milliseconds()
		return cell
	}
	stage, ok := r.stages.Lookup(stageSlug)
	if !ok {
		return finish(catalog.Inconclusive, "there is no such stage: the stages are "+r.stages.Slugs())
	}
	attack, ok := catalog.LookupAttack(attackName)
	if !ok {
		return finish(catalog.Inconclusive, "there is no such attack")
	}
	cell.Expected = string(attack.Expected(stage))
	if !stage.Built {
		return finish(catalog.NotBuilt, "this stage is not built yet")
	}
	if attack.Expected(stage) == catalog.NotApplicable {
		return finish(catalog.NotApplicable, "")
	}

	cell.Tries = 1
	before, canary := r.genuine(ctx, stageSlug, false)
	if !before.OK {
		return finish(catalog.Inconclusive, "the genuine app does not work before the attack: "+before.Reason)
	}
	trial, err := r.begin(ctx, stage, attack, canary)
	if err != nil {
		return finish(catalog.Inconclusive, err.Error())
	}
	defer r.markMade(ctx)
	add(&trial.brief)
	cell.From = time.Now()
	report, err := manage.Post[manage.Report](ctx, r.station, "/attack", trial.brief)
	cell.To = time.Now()
	if err != nil {
		return finish(catalog.Inconclusive, err.Error())
	}
	verdict, err := trial.judge(ctx, report)
	cell.Check = verdict.check
	cell.Evidence, cell.Steps = append(cell.Evidence, verdict.evidence...), append(cell.Steps, report.Steps...)
	cell.StepsAt, cell.Stolen, cell.Booked = report.StepsAt, report.Stolen, trial.moved
	if attack.Goal == catalog.ReadData && verdict.outcome == catalog.Succeeds {
		cell.Stolen = append(cell.Stolen, canary)
	}
	if err != nil {
		return finish(catalog.Inconclusive, err.Error())
	}
	if attack.Goal == catalog.ExceedLimit {
		breathe(ctx)
	}
	if after, _ := r.genuine(ctx, stageSlug, false); !after.OK {
		return finish(catalog.Inconclusive, "the genuine app does not work after the attack: "+after.Reason)
	}
	return finish(verdict.outcome, verdict.reason)
}

// Expected tells whether a cell is as the catalog has it: the outcome and, where the
// attack is blocked, the check that blocks it.
func Expected(stages catalog.Set, cell manage.Cell) error {
	stage, _ := stages.Lookup(cell.Stage)
	attack, _ := catalog.LookupAttack(cell.Attack)
	switch {
	case cell.Outcome == string(catalog.NotBuilt), attack.AsExpected(stage, catalog.Outcome(cell.Outcome), cell.Check):
		return nil
	case cell.Outcome != cell.Expected:
		return fmt.Errorf("%s at %s: expected %q, got %q (%s)", cell.Attack, cell.Stage, cell.Expected, cell.Outcome, cell.Reason)
	}
	return fmt.Errorf("%s at %s: expected to be blocked by %q, got %q (%s)", cell.Attack, cell.Stage, attack.BlockedBy(stage), cell.Check, cell.Reason)
}

// breathe waits after many calls at once, until the API has room again for those that are
// made next: who is stopped by a limit has not been stopped by the stage's defence.
func breathe(ctx context.Context) {
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
}

// newReference is a transfer reference that nobody can guess.
func newReference() string { return "ref-" + strings.ToLower(rand.Text()) }

// refusals are what checks refused to the attack's programs and devices, oldest first:
// verdicts of the app, and verdicts of the server about exchanges that the attacker's
// station took part in.
func (t *trial) refusals(ctx context.Context) ([]traffic.Message, error) {
	own, err := t.station.Traffic(ctx, t.stationEnd)
	if err != nil {
		return nil, err
	}
	served, _, err := t.recorded(ctx, t.serverEnds)
	if err != nil {
		return nil, err
	}
	exchanges := map[string]bool{}
	var refusals []traffic.Message
	for _, m := range own.Entries {
		if m.Exchange != "" {
			exchanges[m.Exchange] = true
		}
		if m.Verdict != nil && !m.Verdict.Allowed {
			refusals = append(refusals, m)
		}
	}
	for _, m := range served {
		if m.Verdict != nil && !m.Verdict.Allowed && exchanges[m.Exchange] {
			refusals = append(refusals, m)
		}
	}
	return refusals, nil
}
