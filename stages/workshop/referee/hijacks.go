package referee

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// lateBySeconds is for how long a thief waits who is in no hurry, and shortLife what a code lives then
// where its life is cut short.
const (
	lateBySeconds = 6
	shortLife     = 5
)

// hijackAttack is the attack that is counted.
const hijackAttack = "code-relay"

// HijackRounds are what [Referee.Hijacks] counts: with nothing switched on, and with each defence alone,
// with a thief who uses the code at once and with one who waits.
func HijackRounds() (rounds []manage.HijackMeasurement) {
	for _, on := range []manage.CodeDefences{{}, {LifetimeSeconds: shortLife}, {Newest: true}, {Fingerprint: true}} {
		for _, late := range []int{0, lateBySeconds} {
			rounds = append(rounds, manage.HijackMeasurement{On: on, LateBySeconds: late})
		}
	}
	return rounds
}

// Unbound is the stage at which codes are bound to nothing and something can be switched on against
// stolen ones; false: there is none.
func Unbound(stages catalog.Set) (catalog.Stage, bool) {
	i := slices.IndexFunc(stages, func(stage catalog.Stage) bool { return stage.Built && stage.Auth.CodesUnbound() })
	if i < 0 {
		return catalog.Stage{}, false
	}
	return stages[i], true
}

// Hijacks counts how often a stolen code is good in the hands of its thief, where codes are bound to
// nothing: the attack code-relay, so many times in each round. Defences that were switched on before are so
// again afterwards. Progress is told of each round that is done. An error means that nothing could be
// switched, or that ctx has ended.
func (r *Referee) Hijacks(ctx context.Context, times int, progress func(done, total int, latest manage.HijackMeasurement)) (_ []manage.HijackMeasurement, err error) {
	stage, ok := Unbound(r.stages)
	if !ok {
		return nil, errors.New("there is no stage at which codes are bound to nothing")
	}
	before, err := manage.Get[manage.CodeDefences](ctx, r.auth, "/codes/defences")
	if err != nil {
		return nil, fmt.Errorf("ask what is switched on against stolen codes: %w", err)
	}
	defer func() { err = errors.Join(err, r.switchOn(context.WithoutCancel(ctx), before)) }()
	rounds := HijackRounds()
	for i := range rounds {
		round := &rounds[i]
		if round.Stage = stage.Slug; ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err := r.switchOn(ctx, round.On); err != nil {
			return nil, err
		}
		for range times {
			cell := r.attack(ctx, stage.Slug, hijackAttack, func(brief *manage.Brief) { brief.LateBySeconds = round.LateBySeconds })
			round.Tries++
			switch catalog.Outcome(cell.Outcome) {
			case catalog.Succeeds:
				round.Robbed++
			case catalog.Blocked:
				round.Blocked++
				round.Check = cell.Check
			default:
				round.Unclear++
				round.Reason = cell.Reason
			}
		}
		progress(i+1, len(rounds), *round)
	}
	return rounds, nil
}

func (r *Referee) switchOn(ctx context.Context, on manage.CodeDefences) error {
	if _, err := manage.Post[manage.CodeDefences](ctx, r.auth, "/codes/defences", on); err != nil {
		return fmt.Errorf("switch defences of codes: %w", err)
	}
	return nil
}
