package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"keyladder/backend/refresh"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

// good are the users of the families that are good.
func (w *world) good(t testing.TB) (users []string) {
	t.Helper()
	list, err := w.Query(t.Context(), manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{State: "good"}, Part: manage.Part{Sort: "user"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list.Families {
		users = append(users, f.User)
	}
	return users
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tokens, ids := map[string]string{}, map[string]string{}
	for _, user := range []string{"alice", "bob", "carol", "dave", "eve"} {
		text, family := w.begin(t, user)
		tokens[user], ids[user] = text, family.ID
	}
	if _, _, err := w.Begin(t.Context(), w.at, refresh.Grant{Stage: "one", User: "frank", Client: "web"}); err != nil {
		t.Fatal(err)
	}
	selected := func(selection manage.FamilySelection) func(ctx context.Context) ([]string, error) {
		return func(ctx context.Context) ([]string, error) { return w.RevokeSelected(ctx, selection) }
	}
	for _, step := range []struct {
		name   string
		revoke func(ctx context.Context) ([]string, error)
		ended  []string // users
		left   []string
	}{
		{"by ID", selected(manage.FamilySelection{IDs: []string{ids["alice"], "no such"}}), []string{"alice"}, []string{"bob", "carol", "dave", "eve", "frank"}},
		{"once more", selected(manage.FamilySelection{IDs: []string{ids["alice"]}}), nil, []string{"bob", "carol", "dave", "eve", "frank"}},
		{"by user", selected(manage.FamilySelection{FamilyFilter: manage.FamilyFilter{User: "bob"}}), []string{"bob"}, []string{"carol", "dave", "eve", "frank"}},
		{"by origin", func(ctx context.Context) ([]string, error) { return w.RevokeOf(ctx, "code of carol") }, []string{"carol"}, []string{"dave", "eve", "frank"}},
		{"by no origin", func(ctx context.Context) ([]string, error) { return w.RevokeOf(ctx, "") }, nil, []string{"dave", "eve", "frank"}},
		{"by token", func(ctx context.Context) ([]string, error) {
			w.rotate(t, tokens["dave"], "") // a used one will do
			f, err := w.RevokeByToken(ctx, "one", tokens["dave"], "app")
			return []string{f.ID}, err
		}, []string{"dave"}, []string{"eve", "frank"}},
		{"by token, once more", func(ctx context.Context) ([]string, error) {
			f, err := w.RevokeByToken(ctx, "one", tokens["dave"], "app")
			return []string{f.ID}, err
		}, []string{"dave"}, []string{"eve", "frank"}},
		{"by client", selected(manage.FamilySelection{FamilyFilter: manage.FamilyFilter{Client: "app"}}), []string{"eve"}, []string{"frank"}},
	} {
		ended, err := step.revoke(t.Context())
		var want []string
		for _, user := range step.ended {
			want = append(want, ids[user])
		}
		if err != nil || !slices.Equal(ended, want) || !slices.Equal(w.good(t), step.left) {
			t.Errorf("%s: ended %v, want %v, %v; left %v", step.name, ended, want, err, w.good(t))
		}
	}
	for user, text := range tokens {
		w.refused(t, user, with(text, ""), refresh.ErrRevoked)
		if f := w.family(t, ids[user]); f.RevokedAt == nil || f.Reused {
			t.Errorf("%+v", f)
		}
	}
	if err := w.Revoke(t.Context(), ids["eve"]); err != nil {
		t.Errorf("what is revoked already: %v", err)
	}
	if err := w.Revoke(t.Context(), "no such"); !errors.Is(err, refresh.ErrNoFamily) {
		t.Errorf("what there is not: %v", err)
	}
}

// TestRevokeByTokenOfOthers: a client can give back what is its own.
func TestRevokeByTokenOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text, _ := w.begin(t, "alice")
	for name, test := range map[string]struct {
		stage, text, client string
		want                error
	}{
		"another client": {"one", text, "other", refresh.ErrClient},
		"another stage":  {"two", text, "app", refresh.ErrUnknown},
		"no token":       {"one", "", "app", refresh.ErrUnknown},
	} {
		if _, err := w.RevokeByToken(t.Context(), test.stage, test.text, test.client); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.rotate(t, text, "")
}

// TestRevokeMany ends more than fit into one statement.
func TestRevokeMany(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []string
	for i := range 1200 {
		_, family := w.begin(t, fmt.Sprint("user-", i))
		ids = append(ids, family.ID)
	}
	if ended, err := w.RevokeSelected(t.Context(), manage.FamilySelection{IDs: ids[:600]}); len(ended) != 600 || err != nil {
		t.Errorf("ended %d, %v", len(ended), err)
	}
	if ended, err := w.RevokeSelected(t.Context(), manage.FamilySelection{All: true}); len(ended) != 600 || err != nil || w.good(t) != nil {
		t.Errorf("ended %d, %v", len(ended), err)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	idle, _ := w.begin(t, "idle")
	w.at = begin.Add(59 * time.Minute)
	for i := range 20 {
		w.begin(t, fmt.Sprintf("user-%02d", i))
		w.at = w.at.Add(time.Second)
	}
	busy, family := w.begin(t, "100%_sure")
	for range manage.MostGenerations + 5 {
		w.at = w.at.Add(time.Second)
		busy = w.rotate(t, busy, "").Text
	}
	stolen, reused := w.begin(t, "reused")
	w.rotate(t, stolen, "")
	w.refused(t, "reuse", with(stolen, ""), refresh.ErrReused)
	w.at = w.at.Add(time.Second)
	_, revoked := w.begin(t, "revoked")
	if err := w.Revoke(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	w.at = begin.Add(time.Hour)
	w.refused(t, "idle", with(idle, ""), refresh.ErrIdle)
	for name, test := range map[string]struct {
		query manage.FamilyQuery
		total int
		first string
	}{
		"all":               {manage.FamilyQuery{}, 24, "revoked"},
		"from":              {manage.FamilyQuery{Part: manage.Part{From: 23}}, 24, "idle"},
		"past the end":      {manage.FamilyQuery{Part: manage.Part{From: 24}}, 24, ""},
		"most generations":  {manage.FamilyQuery{Part: manage.Part{Sort: "-number", Limit: 1}}, 24, "100%_sure"},
		"first to be used":  {manage.FamilyQuery{Part: manage.Part{Sort: "used"}}, 24, "idle"},
		"by user":           {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{User: "user-07"}}, 1, "user-07"},
		"by origin":         {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{Origin: "code of user-07"}}, 1, "user-07"},
		"a search":          {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{Search: "ser-1"}}, 10, "user-19"},
		"what LIKE expands": {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{Search: "%_s"}}, 1, "100%_sure"},
		"by ID":             {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{Search: reused.ID}}, 1, "reused"},
		"good ones":         {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{State: "good"}}, 21, "100%_sure"},
		"revoked ones":      {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{State: "revoked"}}, 2, "revoked"},
		"reused ones":       {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{State: "reused"}}, 1, "reused"},
		"expired ones":      {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{State: "expired"}}, 1, "idle"},
		"none":              {manage.FamilyQuery{FamilyFilter: manage.FamilyFilter{Client: "' OR 1=1 --"}}, 0, ""},
	} {
		list, err := w.Query(t.Context(), test.query)
		if err != nil {
			t.Fatal(err)
		}
		first := ""
		if len(list.Families) > 0 {
			first = list.Families[0].User
		}
		if list.Total != test.total || first != test.first {
			t.Errorf("%s: %d, %d listed, first %q", name, list.Total, len(list.Families), first)
		}
	}
	found := w.family(t, family.ID)
	if n := len(found.Generations); n != manage.MostGenerations || found.Generations[0].Number != n+6 || found.Generations[0].UsedAt != nil || found.Generations[1].UsedAt == nil {
		t.Errorf("%d generations of %d: %+v", n, found.Number, found.Generations)
	}
	if want := found.UsedAt.Add(time.Hour); !found.ExpiresAt.Equal(want) {
		t.Errorf("expires at %v, want %v", found.ExpiresAt, want)
	}
	if _, err := w.Query(t.Context(), manage.FamilyQuery{Part: manage.Part{Sort: "hash"}}); !errors.Is(err, store.ErrSort) {
		t.Errorf("sorted by what there is not: %v", err)
	}
}

// TestOldReuseIsListed: the generation that gave a thief away is shown, however old it is.
func TestOldReuseIsListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, family := w.begin(t, "alice")
	text := first
	for range 3 * manage.MostGenerations {
		text = w.rotate(t, text, "").Text
	}
	w.refused(t, "reuse", with(first, ""), refresh.ErrReused)
	found := w.family(t, family.ID)
	if n := len(found.Generations); n != manage.MostGenerations+1 || found.Generations[n-1].Number != 1 || found.Generations[n-1].ReusedAt == nil {
		t.Errorf("%+v", found)
	}
}

// TestForget: families are forgotten a day after their end, whichever end that was.
func TestForget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, revoked := w.begin(t, "revoked")
	w.begin(t, "idle")
	busy, _ := w.begin(t, "busy")
	old := busy
	if err := w.Revoke(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	users := func() (users []string) {
		t.Helper()
		if err := w.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := w.Query(t.Context(), manage.FamilyQuery{Part: manage.Part{Sort: "user"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range list.Families {
			users = append(users, f.User)
		}
		return users
	}
	for w.at.Before(begin.Add(23 * time.Hour)) {
		w.at = w.at.Add(59 * time.Minute)
		busy = w.rotate(t, busy, "").Text
	}
	for _, step := range []struct {
		after time.Duration
		left  []string
	}{
		{24 * time.Hour, []string{"busy", "idle", "revoked"}},
		{24*time.Hour + 1, []string{"busy", "idle"}},
		{25*time.Hour + 1, []string{"busy"}},
		{48 * time.Hour, []string{"busy"}},
		{48*time.Hour + 1, nil},
	} {
		w.at = begin.Add(step.after)
		if left := users(); !slices.Equal(left, step.left) {
			t.Errorf("after %v: %v, want %v", step.after, left, step.left)
		}
	}
	for name, text := range map[string]string{"its newest token": busy, "an old one": old} {
		w.refused(t, name, with(text, ""), refresh.ErrUnknown)
	}
	text, _ := w.begin(t, "alice")
	if err := w.Reset(t.Context()); err != nil || users() != nil {
		t.Errorf("after a reset: %v, %v", users(), err)
	}
	w.refused(t, "after a reset", with(text, ""), refresh.ErrUnknown)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]refresh.Config{"no idle time": {Absolute: time.Hour}, "no end": {Idle: time.Hour}} {
		if _, err := refresh.Open(t.Context(), nil, config); err == nil {
			t.Errorf("opened with %s", name)
		}
	}
}
