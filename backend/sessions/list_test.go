package sessions_test

import (
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"keyladder/backend/sessions"
	"keyladder/internal/manage"
)

func crowd(t testing.TB) *sessions.Store {
	t.Helper()
	db := database(t, filepath.Join(t.TempDir(), "sessions.db"))
	if err := sessions.Crowd(db, 10_000, begin); err != nil {
		t.Fatal(err)
	}
	return open(t, db)
}

func query(t testing.TB, s *sessions.Store, q manage.SessionQuery) manage.SessionList {
	t.Helper()
	list, err := s.Query(t.Context(), begin, q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A page of a long list takes the memory of the page, and not that of the list. It is not
// parallel: others' memory would be counted, too.
func TestPagesTakeLittleMemory(t *testing.T) {
	s := crowd(t)
	page := manage.SessionQuery{SessionFilter: manage.SessionFilter{Search: "phone"}, Part: manage.Part{Sort: "-used", From: 5_000, Limit: 25}}
	query(t, s, page) // what is made once
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list := query(t, s, page)
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; len(list.Sessions) != 25 || list.Total != 10_000 || taken > 256<<10 {
		t.Errorf("%d of %d sessions take %d bytes", len(list.Sessions), list.Total, taken)
	}
}

// What is listed is what is good: sessions that have ended or are not used any more are not,
// even where nobody has removed them yet.
func TestQuery(t *testing.T) {
	t.Parallel()
	s := fresh(t)
	_, idle := signIn(t, s, begin.Add(-20*time.Minute), "alice")
	_, busy := signIn(t, s, begin.Add(-20*time.Minute), "alice")
	busy.Touch(begin.Add(-time.Minute))
	_, bobs := signIn(t, s, begin.Add(-2*time.Minute), "bob")
	ids := func(q manage.SessionQuery) (ids []string) {
		for _, one := range query(t, s, q).Sessions {
			ids = append(ids, one.ID)
		}
		return ids
	}
	if _, err := s.MarkWorkshop(t.Context(), "user-session", []string{"another"}); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		query manage.SessionQuery
		want  []string
	}{
		"the latest first": {manage.SessionQuery{}, []string{bobs.ID, busy.ID}},
		"last used first":  {manage.SessionQuery{Part: manage.Part{Sort: "-used"}}, []string{busy.ID, bobs.ID}},
		"by user":          {manage.SessionQuery{Part: manage.Part{Sort: "user"}}, []string{busy.ID, bobs.ID}},
		"alice's":          {manage.SessionQuery{SessionFilter: manage.SessionFilter{User: "alice"}}, []string{busy.ID}},
		"of some user":     {manage.SessionQuery{SessionFilter: manage.SessionFilter{User: "ali"}}, nil},
		"with a text":      {manage.SessionQuery{SessionFilter: manage.SessionFilter{Search: "OB"}}, []string{bobs.ID, busy.ID}}, // in harbour-mobile
		"by ID":            {manage.SessionQuery{SessionFilter: manage.SessionFilter{Search: busy.ID}}, []string{busy.ID}},
		"idle, by ID":      {manage.SessionQuery{SessionFilter: manage.SessionFilter{Search: idle.ID}}, nil},
		"another stage's":  {manage.SessionQuery{SessionFilter: manage.SessionFilter{Stage: "hmac"}}, nil},
		"the workshop's":   {manage.SessionQuery{SessionFilter: manage.SessionFilter{By: manage.Workshop}}, nil},
	} {
		if got := ids(test.query); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
	counts, err := s.Count(t.Context(), begin)
	if err != nil || len(counts) != 2 || counts["alice"] != 1 || counts["bob"] != 1 {
		t.Errorf("counted: %v, %v", counts, err)
	}
	if n, err := s.MarkWorkshop(t.Context(), "user-session", []string{"phone"}); n == 0 || err != nil {
		t.Errorf("%d marked, %v", n, err)
	}
	if list := query(t, s, manage.SessionQuery{SessionFilter: manage.SessionFilter{By: manage.Workshop}}); list.Total != 2 || !list.Sessions[0].Workshop {
		t.Errorf("the workshop's: %+v", list)
	}
	if n, err := s.EndSelected(t.Context(), begin, manage.SessionSelection{SessionFilter: manage.SessionFilter{User: "bob"}}); n != 1 || err != nil {
		t.Errorf("%d ended, %v", n, err)
	}
	if got := ids(manage.SessionQuery{}); !slices.Equal(got, []string{busy.ID}) {
		t.Errorf("left: %v", got)
	}
}

func BenchmarkQuery(b *testing.B) {
	s := crowd(b)
	for name, q := range map[string]manage.SessionQuery{
		"first":  {Part: manage.Part{Limit: 25}},
		"last":   {Part: manage.Part{Sort: "user", From: 9_975, Limit: 25}},
		"search": {SessionFilter: manage.SessionFilter{Search: "phone-0999"}, Part: manage.Part{Limit: 25}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				query(b, s, q)
			}
		})
	}
}
