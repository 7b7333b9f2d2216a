package referee

import (
	"context"
	"fmt"

	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Steal has the station carry out a theft, or an attack for its loot, in a deployment in which nothing else
// is going on. An error means that it could not be carried out.
func (r *Referee) Steal(ctx context.Context, stage, theft string) (manage.Report, error) {
	brief := manage.Brief{Stage: stage, Attack: theft, Reference: newReference(), VictimReference: newReference()}
	var err error
	if attack, ok := catalog.LookupAttack(theft); ok && attack.Position == catalog.AccessLog {
		if genuine := r.Genuine(ctx, stage); !genuine.OK { // which is logged
			return manage.Report{}, fmt.Errorf("the genuine app does not work before the theft: %s", genuine.Reason)
		}
		if brief.AccessLog, err = r.resource.AccessLog(ctx); err != nil {
			return manage.Report{}, err
		}
	}
	report, err := manage.Post[manage.Report](ctx, r.station, "/attack", brief)
	switch {
	case err != nil:
		return report, err
	case report.Error != "":
		return report, fmt.Errorf("it could not be carried out: %s", report.Error)
	case report.Impossible != "":
		return report, fmt.Errorf("it can't be carried out here: %s", report.Impossible)
	}
	return report, nil
}

// StoppedBy is the check that refused the thief last, as servers and apps have it on record.
func (r *Referee) StoppedBy(ctx context.Context, report manage.Report) (catalog.Check, error) {
	if report.Check != "" && !report.Check.OnRecord() {
		return report.Check, nil
	}
	t := &trial{Referee: r, serverEnds: make([]feed.Cursor, len(r.servers))}
	refusals, err := t.refusals(ctx)
	if err != nil {
		return "", err
	}
	last := decisive(refusals, report.Check)
	if last == nil {
		return "", fmt.Errorf("nothing is on record that stopped it: %s", report.Obstacle)
	}
	return last.Check, nil
}
