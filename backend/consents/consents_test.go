package consents_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyladder/backend/consents"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

var (
	begin = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	alice = consents.Party{Stage: "one", User: "alice", Client: "app"}
)

func open(t testing.TB) (*consents.Store, *gorm.DB) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "auth.db"), consents.Models()...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close(db) })
	s, err := consents.Open(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return s, db
}

func give(t testing.TB, s *consents.Store, after time.Duration, p consents.Party, scopes ...string) manage.Consent {
	t.Helper()
	given, err := s.Give(t.Context(), begin.Add(after), p, scopes)
	if err != nil {
		t.Fatal(err)
	}
	return given
}

func granted(t testing.TB, s *consents.Store, p consents.Party) string {
	t.Helper()
	scopes, err := s.Granted(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(scopes, " ")
}

// TestGive: a consent is of one user, one client and one stage. It is widened, and not narrowed.
func TestGive(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for _, step := range []struct {
		scopes  []string
		want    string
		widened time.Duration
	}{
		{[]string{"b", "a", "b"}, "a b", 0},
		{[]string{"a"}, "a b", 0},
		{nil, "a b", 0},
		{[]string{"c"}, "a b c", 3 * time.Minute},
		{[]string{"c", "a"}, "a b c", 3 * time.Minute},
	} {
		given := give(t, s, step.widened, alice, step.scopes...)
		if given.Scope != step.want || !given.GivenAt.Equal(begin) || !given.WidenedAt.Equal(begin.Add(step.widened)) || granted(t, s, alice) != step.want {
			t.Errorf("given %q: %+v", step.scopes, given)
		}
	}
	for _, other := range []consents.Party{
		{Stage: "two", User: "alice", Client: "app"},
		{Stage: "one", User: "bob", Client: "app"},
		{Stage: "one", User: "alice", Client: "other"},
		{Stage: "one", User: "Alice", Client: "app"},
		{},
	} {
		if found := granted(t, s, other); found != "" {
			t.Errorf("%+v has %q", other, found)
		}
	}
}

// TestAtOnce: consents that are given at the same time become one, and lose nothing.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	var wg sync.WaitGroup
	for i := range 26 {
		wg.Go(func() { give(t, s, 0, alice, string(rune('a'+i))) })
	}
	wg.Wait()
	list, err := s.Query(t.Context(), manage.ConsentQuery{})
	if err != nil || list.Total != 1 || list.Consents[0].Scope != "a b c d e f g h i j k l m n o p q r s t u v w x y z" {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	s, db := open(t)
	bob := consents.Party{Stage: "one", User: "bob", Client: "app"}
	first := give(t, s, 0, alice, "a", "b")
	give(t, s, 0, bob, "a")
	withdrawn, err := s.Withdraw(t.Context(), first.ID)
	if err != nil || withdrawn != first || granted(t, s, alice) != "" || granted(t, s, bob) != "a" {
		t.Errorf("%+v, %v", withdrawn, err)
	}
	if _, err := s.Withdraw(t.Context(), first.ID); !errors.Is(err, consents.ErrNoConsent) {
		t.Errorf("a second time: %v", err)
	}
	// What is given anew is not what it was before.
	if again := give(t, s, time.Hour, alice, "c"); again.ID == first.ID || again.Scope != "c" || !again.GivenAt.Equal(begin.Add(time.Hour)) {
		t.Errorf("anew: %+v", again)
	}
	// Whoever mints asks in the transaction, and sees what was withdrawn before it.
	err = db.Transaction(func(tx *gorm.DB) error {
		if err := tx.Exec("DELETE FROM consents WHERE user = 'bob'").Error; err != nil {
			return err
		}
		scopes, err := s.GrantedIn(tx, bob)
		if scopes != nil {
			t.Errorf("in the transaction bob allows %q", scopes)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWithdrawSelected(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	var ids []string
	for i := range 1100 {
		ids = append(ids, give(t, s, 0, consents.Party{Stage: "one", User: fmt.Sprint("user-", i), Client: []string{"app", "web"}[i%2]}, "a").ID)
	}
	keep := give(t, s, 0, consents.Party{Stage: "two", User: "alice", Client: "web"}, "a")
	for _, step := range []struct {
		name      string
		selection manage.ConsentSelection
		withdrawn int
		left      int
	}{
		{"nobody's", manage.ConsentSelection{ConsentFilter: manage.ConsentFilter{User: "user-"}}, 0, 1101},
		{"a client's at a stage", manage.ConsentSelection{ConsentFilter: manage.ConsentFilter{Client: "web", Stage: "one"}}, 550, 551},
		{"by IDs", manage.ConsentSelection{IDs: ids}, 550, 1},
		{"all", manage.ConsentSelection{All: true}, 1, 0},
	} {
		withdrawn, err := s.WithdrawSelected(t.Context(), step.selection)
		list, listed := s.Query(t.Context(), manage.ConsentQuery{})
		if err != nil || listed != nil || len(withdrawn) != step.withdrawn || list.Total != step.left {
			t.Errorf("%s: withdrawn %d, %v; left %d, %v", step.name, len(withdrawn), err, list.Total, listed)
		}
		if step.left == 0 && !slices.Equal(withdrawn, []manage.Consent{keep}) {
			t.Errorf("the last one: %+v", withdrawn)
		}
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	for i := range 30 {
		give(t, s, time.Duration(i)*time.Second, consents.Party{Stage: "one", User: fmt.Sprintf("user-%02d", i), Client: "app"}, "accounts")
	}
	odd := give(t, s, time.Minute, consents.Party{Stage: "two", User: "100%_sure", Client: "web"}, "transfers")
	give(t, s, time.Hour, consents.Party{Stage: "one", User: "user-07", Client: "app"}, "transfers")
	for name, test := range map[string]struct {
		query manage.ConsentQuery
		total int
		first string
	}{
		"all":               {manage.ConsentQuery{}, 31, "100%_sure"},
		"from":              {manage.ConsentQuery{Part: manage.Part{From: 30}}, 31, "user-00"},
		"past the end":      {manage.ConsentQuery{Part: manage.Part{From: 31}}, 31, ""},
		"widened last":      {manage.ConsentQuery{Part: manage.Part{Sort: "-widened", Limit: 5}}, 31, "user-07"},
		"by user":           {manage.ConsentQuery{Part: manage.Part{Sort: "user"}, ConsentFilter: manage.ConsentFilter{Client: "app"}}, 30, "user-00"},
		"by stage":          {manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{Stage: "two"}}, 1, "100%_sure"},
		"a search":          {manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{Search: "ser-1"}}, 10, "user-19"},
		"by scope":          {manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{Search: "transf"}}, 2, "100%_sure"},
		"search and filter": {manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{Search: "transf", Client: "app"}}, 1, "user-07"},
		"what LIKE expands": {manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{Search: "%_s"}}, 1, "100%_sure"},
		"by ID":             {manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{Search: odd.ID}}, 1, "100%_sure"},
		"none":              {manage.ConsentQuery{ConsentFilter: manage.ConsentFilter{User: "' OR 1=1 --"}}, 0, ""},
	} {
		list, err := s.Query(t.Context(), test.query)
		if err != nil {
			t.Fatal(err)
		}
		first := ""
		if len(list.Consents) > 0 {
			first = list.Consents[0].User
		}
		if list.Total != test.total || first != test.first {
			t.Errorf("%s: %d, %d listed, first %q", name, list.Total, len(list.Consents), first)
		}
	}
	if _, err := s.Query(t.Context(), manage.ConsentQuery{Part: manage.Part{Sort: "id; DROP TABLE consents"}}); !errors.Is(err, store.ErrSort) {
		t.Errorf("sorted by what there is not: %v", err)
	}
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Query(t.Context(), manage.ConsentQuery{}); err != nil || list.Total != 0 {
		t.Errorf("after a reset: %+v, %v", list, err)
	}
}
