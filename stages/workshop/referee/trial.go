package referee

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// trial is one attack under way, with what the referee knew before it began.
type trial struct {
	*Referee
	stage  catalog.Stage
	attack catalog.Attack
	brief  manage.Brief
	canary string            // a reference in the victim's history that the attack can only have read
	moved  []manage.Transfer // what the attack has booked, as far as its goal is about it

	stationEnd feed.Cursor
	serverEnds []feed.Cursor
	since      string // the day on which it began
	served     int64  // calls to the rates at this stage on that day so far
}

type verdict struct {
	outcome  catalog.Outcome
	check    catalog.Check
	reason   string
	evidence []string
}

// floodedRoute is the route of which the flood asks for more than its share.
const floodedRoute = "GET /v1/rates"

func (r *Referee) begin(ctx context.Context, stage catalog.Stage, attack catalog.Attack, canary string) (*trial, error) {
	t := &trial{Referee: r, stage: stage, attack: attack, canary: canary, since: time.Now().UTC().Format(time.DateOnly)}
	t.brief = manage.Brief{
		Stage: stage.Slug, Attack: attack.Name,
		Reference: newReference(), VictimReference: newReference(),
	}
	var err error
	if attack.Position == catalog.AccessLog {
		if t.brief.AccessLog, err = r.resource.AccessLog(ctx); err != nil {
			return nil, err
		}
	}
	if t.served, err = t.servedCalls(ctx); err != nil {
		return nil, err
	}
	if t.stationEnd, err = r.station.TrafficEnd(ctx); err != nil {
		return nil, err
	}
	t.serverEnds, err = r.ends(ctx)
	return t, err
}

// judge compares what the attacker says with what the servers know. An error means
// that there is no verdict.
func (t *trial) judge(ctx context.Context, report manage.Report) (verdict, error) {
	if report.Error != "" {
		return verdict{}, fmt.Errorf("the attack could not be carried out: %s", report.Error)
	}
	if report.Impossible != "" {
		return verdict{}, fmt.Errorf("the attack can't be carried out here: %s", report.Impossible)
	}
	evidence, reached, err := t.goal(ctx, report)
	if err != nil {
		return verdict{}, err
	}
	if reached {
		return verdict{outcome: catalog.Succeeds, reason: t.attack.Goal.Done(), evidence: evidence}, nil
	}
	refusals, err := t.refusals(ctx)
	if err != nil {
		return verdict{}, err
	}
	for _, m := range refusals {
		line := fmt.Sprintf("%s: %s refused: %s", m.To, m.Verdict.Check, m.Verdict.Reason)
		if !slices.Contains(evidence, line) && len(evidence) < 20 {
			evidence = append(evidence, line)
		}
	}
	v := verdict{outcome: catalog.Blocked, check: report.Check, reason: report.Obstacle, evidence: evidence}
	switch {
	case report.Claim:
		return v, errors.New("the attacker believes that it succeeded, but the servers know nothing of it")
	case report.Check != "" && !report.Check.OnRecord():
		return v, nil
	}
	decisive := decisive(refusals, report.Check)
	if decisive == nil {
		return v, fmt.Errorf("nothing is on record that blocked the attack, and yet it did not reach its goal: %s", report.Obstacle)
	}
	v.check, v.reason = decisive.Check, decisive.Reason
	return v, nil
}

// decisive is the last refusal by the check, or by any where none is named; nil: there is
// none.
func decisive(refusals []traffic.Message, check catalog.Check) *traffic.Verdict {
	for _, m := range slices.Backward(refusals) {
		if check == "" || m.Verdict.Check == check {
			return m.Verdict
		}
	}
	return nil
}

// goal tells whether the attack's goal was reached, and what shows it.
func (t *trial) goal(ctx context.Context, report manage.Report) (evidence []string, reached bool, err error) {
	switch t.attack.Goal {
	case catalog.BookTransfer:
		booked, err := t.booked(ctx, t.stage.Slug, t.brief.Reference)
		for _, b := range booked {
			t.moved = append(t.moved, b)
			evidence = append(evidence, describe(b))
		}
		return evidence, len(evidence) > 0, err
	case catalog.RobVictim:
		booked, err := t.booked(ctx, t.stage.Slug, t.brief.Reference)
		for _, b := range booked {
			if b.From == catalog.AliceAccount && b.To == catalog.MalloryAccount {
				t.moved = append(t.moved, b)
				evidence = append(evidence, describe(b))
			}
		}
		return evidence, len(evidence) > 0, err
	case catalog.PassAppLimit:
		booked, err := t.booked(ctx, t.stage.Slug, t.brief.Reference)
		for _, b := range booked {
			if b.Amount > catalog.TransferCap {
				t.moved = append(t.moved, b)
				evidence = append(evidence, describe(b)+fmt.Sprintf(", above the app's limit of %s", money(catalog.TransferCap)))
			}
		}
		return evidence, len(evidence) > 0, err
	case catalog.ChangePayee:
		booked, err := t.booked(ctx, t.stage.Slug, t.brief.VictimReference)
		for _, b := range booked {
			if b.To == catalog.MalloryAccount {
				t.moved = append(t.moved, b)
				evidence = append(evidence, describe(b)+fmt.Sprintf(", which was meant for %s", catalog.BobAccount))
			}
		}
		return evidence, len(evidence) > 0, err
	case catalog.RepeatPayment:
		booked, err := t.booked(ctx, t.stage.Slug, t.brief.VictimReference)
		for _, b := range booked {
			t.moved = append(t.moved, b)
			evidence = append(evidence, describe(b))
		}
		return evidence, len(booked) > 1, err
	case catalog.ReadData:
		if strings.Contains(report.Data, t.canary) {
			return []string{fmt.Sprintf("the attacker read %d bytes of answers, with the reference of the victim's latest transfer in it", len(report.Data))}, true, nil
		}
		return nil, false, nil
	case catalog.ExceedLimit:
		served, err := t.servedCalls(ctx)
		counted := served - t.served
		evidence = []string{fmt.Sprintf("the server counted %d served calls, the attacker %d; the limit as announced allows %d", counted, report.Served, report.Allowed)}
		return evidence, report.Served > report.Allowed && counted >= int64(report.Served), err
	}
	return nil, false, fmt.Errorf("the referee does not know the goal %q", t.attack.Goal)
}

func (t *trial) servedCalls(ctx context.Context) (served int64, err error) {
	usage, err := t.resource.Usage(ctx, 2) // two, in case midnight passes
	for _, u := range usage {
		if u.Day >= t.since && u.Stage == t.stage.Slug && u.Route == floodedRoute {
			served += u.Served
		}
	}
	return served, err
}

func describe(b manage.Transfer) string {
	return fmt.Sprintf("booked on the ledger: %s from %s to %s, reference %s", money(b.Amount), b.From, b.To, b.Reference)
}

func money(minor int64) string { return fmt.Sprintf("EUR %d.%02d", minor/100, minor%100) }
