package lab_test

import (
	"testing"

	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

// Where a portion of bodies is sealed in place of all, the genuine app works, and nobody
// changes what was signed.
func TestSealedPortions(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	stages := catalog.All()
	slugs := []string{"hidden-secrets", "user-session"}
	for _, slug := range slugs {
		stages = stages.With(slug, func(p *catalog.Policies) { p.Call.Bodies = catalog.SealedPortions })
	}
	l := start(t, lab.Options{Stages: stages})
	for _, slug := range slugs {
		if genuine := l.Referee.Genuine(t.Context(), slug); !genuine.OK {
			t.Errorf("%s: %s", slug, genuine.Reason)
		}
	}
	cell := l.Referee.Attack(t.Context(), slugs[0], "proxy-tamper")
	if err := referee.Expected(stages, cell); err != nil {
		t.Errorf("%v\n%q", err, cell.Steps)
	}
}
