package lab_test

import (
	"net/http"
	"testing"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

// On one deployment, as the admin UI runs it, the attacks of one stage do not get in the
// way of the next stage's calls.
func TestMatrixOnOneDeployment(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for limits")
	}
	t.Parallel()
	l := start(t, lab.Options{})
	attacks := []string{"flood", "password-guess"}
	var slugs []string
	for _, stage := range catalog.All().Built() {
		slugs = append(slugs, stage.Slug)
	}
	told, all := 0, 0
	for _, pair := range referee.Pairs(catalog.All(), slugs, attacks) {
		stage, _ := catalog.All().Lookup(pair.Stage)
		if attack, _ := catalog.LookupAttack(pair.Attack); attack.Expected(stage) != catalog.NotApplicable {
			all++
		}
	}
	matrix := l.Referee.Matrix(t.Context(), slugs, attacks, func(done, total int, latest manage.Cell) {
		told++
		if done != told || total != all {
			t.Errorf("%d of %d, as number %d", done, total, told)
		}
	})
	for _, cell := range matrix.Cells {
		if err := referee.Expected(catalog.All(), cell); err != nil {
			t.Error(err)
		}
	}
	if retried := referee.Retried(matrix.Cells); len(retried) > referee.MaxRetried {
		t.Errorf("%d attacks showed nothing at first: %+v", len(retried), retried)
	}
	for _, genuine := range matrix.Genuine {
		if !genuine.OK {
			t.Errorf("the genuine app at %s: %s", genuine.Stage, genuine.Reason)
		}
	}
	if told != all || len(matrix.Genuine) != len(slugs) {
		t.Errorf("%d cells, %d runs of the genuine app", told, len(matrix.Genuine))
	}
}

// Who gives the staff's app a higher limit is not told that it has none.
func TestRaisedLimit(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	perSecond, burst := 200.0, 600
	if err := l.Resource.Do(t.Context(), http.MethodPatch, "/apps/harbour-ops", manage.AppChange{PerSecond: &perSecond, Burst: &burst}, nil); err != nil {
		t.Fatal(err)
	}
	if genuine := l.Referee.GenuineAlone(t.Context(), "tls"); !genuine.OK {
		t.Error(genuine.Reason)
	}
}
