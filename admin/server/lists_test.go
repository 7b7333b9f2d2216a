package server

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyladder/admin/access"
	"keyladder/internal/manage"
)

// crowd adds sessions and devices, of which every other one is the workshop's.
func crowd(set *setting, count int) {
	now := set.clock.now()
	set.bank.locked(func() {
		for i := range count {
			identifier, at := fmt.Sprintf("x%03d", i), now.Add(-time.Hour-time.Duration(i)*time.Minute)
			set.bank.sessions = append(set.bank.sessions, manage.Session{
				ID: "S" + identifier, User: "bob", App: "harbour-mobile", Stage: "user-session", Device: identifier, Workshop: i%2 == 1,
				CreatedAt: at, LastUsedAt: at, ExpiresAt: at.Add(12 * time.Hour),
			})
			set.bank.devices = append(set.bank.devices, manage.Device{
				ID: "D" + identifier, Stage: "hidden-secrets", Identifier: identifier, App: "harbour-mobile", RegisteredAt: at, LastSeen: &at, Workshop: i%2 == 1,
			})
		}
	})
}

// rows are the values of an attribute on a page.
func (b *browser) rows(path, attribute string) (found []string) {
	b.t.Helper()
	page := b.get(path)
	page.want(b.t, http.StatusOK)
	for _, row := range regexp.MustCompile(` `+attribute+`="([^"]+)"`).FindAllStringSubmatch(page.Body, -1) {
		found = append(found, row[1])
	}
	return found
}

func TestListsHavePages(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	populate(set)
	crowd(set, 140) // 70 are not the workshop's, beside 3
	b := newBrowser(t, set).signIn()
	rel := func(path, rel string) string {
		t.Helper()
		found := regexp.MustCompile(`rel="` + rel + `" href="([^"]+)"`).FindStringSubmatch(b.get(path).Body)
		if found == nil {
			return ""
		}
		return html.UnescapeString(found[1])
	}
	for page, attribute := range map[string]string{"/devices": "data-device", "/sessions": "data-session"} {
		b.get(page).want(t, http.StatusOK, `data-total="73"`, "1 to 25 of 73", `data-hidden="70"`)
		b.get(page+"?page=3").want(t, http.StatusOK, "51 to 73 of 73", "Page 3 of 3")
		var seen []string
		count := 0
		for path := page; path != ""; path = rel(path, "next") {
			seen = append(seen, b.rows(path, attribute)...)
			count++
		}
		distinct := slices.Compact(slices.Sorted(slices.Values(seen)))
		if count != 3 || len(seen) != 73 || len(distinct) != 73 {
			t.Errorf("%s: %d rows, %d of them distinct, on %d pages", page, len(seen), len(distinct), count)
		}
		if back := rel(page+"?page=3", "prev"); back != page+"?page=2" {
			t.Errorf("%s: back to %q", page, back)
		}
		// A page that is behind the end, for example since its rows were removed, is the last.
		b.get(page+"?page=99").want(t, http.StatusOK, "51 to 73 of 73")
		b.get(page+"?by=workshop").want(t, http.StatusOK, `data-total="70"`, "data-workshop")
		b.get(page+"?by=all&search=x01").want(t, http.StatusOK, `data-total="10"`, `value="x01"`, `<option value="all" selected>`)
		if page := b.get(page + "?search=x01"); !strings.Contains(page.Body, `data-total="5"`) || !strings.Contains(page.Body, `data-hidden="5"`) {
			t.Error("what is searched for and what is hidden do not go together")
		}
	}
	next := rel("/devices?sort=identifier&search=x&stage=hidden-secrets", "next")
	if want := (url.Values{"page": {"2"}, "search": {"x"}, "sort": {"identifier"}, "stage": {"hidden-secrets"}}); next != "/devices?"+want.Encode() {
		t.Errorf("the next page is %q", next)
	}
	if got := b.rows(next, "data-identifier"); len(got) != 25 || got[0] != "x050" {
		t.Errorf("sorted by identifier, the second page has %v", got)
	}
	b.get("/devices?stage=nowhere&sort=nothing&page=x").want(t, http.StatusOK, `data-total="73"`)
}

func TestListsAreSorted(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	populate(set)
	b := newBrowser(t, set).signIn()
	heads := func(path string) map[string]string { // the name of a column → how it is sorted and where its head leads
		found := map[string]string{}
		for _, head := range regexp.MustCompile(`aria-sort="([a-z]+)"><a href="([^"]+)" data-sort="([a-z]+)"`).FindAllStringSubmatch(b.get(path).Body, -1) {
			found[head[3]] = head[1] + " " + html.UnescapeString(head[2])
		}
		return found
	}
	for path, want := range map[string]map[string]string{
		"/devices":                      {"seen": "descending /devices?sort=seen", "identifier": "none /devices?sort=identifier", "registered": "none /devices?sort=-registered"},
		"/devices?sort=seen":            {"seen": "ascending /devices"},
		"/devices?sort=identifier":      {"identifier": "ascending /devices?sort=-identifier", "seen": "none /devices"},
		"/sessions?sort=-user&page=2":   {"user": "descending /sessions?sort=user"},
		"/users?search=l":               {"name": "ascending /users?search=l&sort=-name", "failed": "none /users?search=l&sort=-failed"},
		"/audit?outcome=done&sort=-who": {"at": "none /audit?outcome=done", "who": "descending /audit?outcome=done&sort=who"},
	} {
		got := heads(path)
		for column, how := range want {
			if got[column] != how {
				t.Errorf("%s: %s is %q, want %q", path, column, got[column], how)
			}
		}
	}
	if got := b.rows("/devices?sort=identifier", "data-device"); !slices.Equal(got, []string{"D1", "D3", "D2"}) {
		t.Errorf("by identifier: %v", got)
	}
}

func TestManyAreChosen(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	populate(set)
	crowd(set, 140)
	b := newBrowser(t, set).signIn()
	left := func(sessions, devices, banned int) {
		t.Helper()
		set.bank.locked(func() {
			isBanned := 0
			for _, d := range set.bank.devices {
				if d.BannedAt != nil {
					isBanned++
				}
			}
			if len(set.bank.sessions) != sessions || len(set.bank.devices) != devices || isBanned != banned {
				t.Errorf("left are %d sessions and %d devices, of which %d are banned", len(set.bank.sessions), len(set.bank.devices), isBanned)
			}
		})
	}
	left(143, 143, 1)
	b.get("/sessions/end?back=/sessions").want(t, http.StatusSeeOther)
	b.get("/sessions").want(t, http.StatusOK, `data-notice="failed"`, "Choose some first")

	b.get("/sessions/end?id=S1&id=Sx000&id=Sx002").want(t, http.StatusOK, "End 3 sessions?", "bob in harbour-mobile at user-session on device x002")
	left(143, 143, 1)
	b.sure("/sessions/end?id=S1&id=Sx000&id=Sx002&back=/sessions").want(t, http.StatusSeeOther)
	left(140, 143, 1)
	b.get("/sessions").want(t, http.StatusOK, "3 sessions have ended")

	b.get("/sessions/end?all=1&search=bob").want(t, http.StatusOK, "End 68 sessions?", "and 63 further ones")
	r := b.sure("/sessions/end?all=1&search=bob&back=" + url.QueryEscape("/sessions?search=bob"))
	if got := r.Header.Get("Location"); got != "/sessions?search=bob" {
		t.Errorf("leads to %q", got)
	}
	left(72, 143, 1) // the workshop's were not listed, so they are not meant
	b.get("/sessions?by=all&search=bob").want(t, http.StatusOK, `data-total="70"`)

	b.sure("/devices/ban?id=Dx000&id=Dx001&back=/devices").want(t, http.StatusSeeOther)
	left(72, 143, 3)
	b.get("/devices").want(t, http.StatusOK, "2 devices are banned")
	b.post("/devices/allow", "id", "Dx000", "back", "/devices").want(t, http.StatusSeeOther)
	left(72, 143, 2)

	// What the workshop has left behind goes in one go, but for what somebody has banned.
	clean := regexp.MustCompile(`href="([^"]+)" data-clean`)
	for _, page := range []string{"/sessions", "/devices"} {
		link := clean.FindStringSubmatch(b.get(page).Body)
		if link == nil {
			t.Fatalf("%s does not offer to remove what the workshop has left behind", page)
		}
		b.get(html.UnescapeString(link[1])).want(t, http.StatusOK, "data-question")
		b.sure(html.UnescapeString(link[1])).want(t, http.StatusSeeOther)
	}
	left(2, 74, 2)
	b.get("/devices?by=workshop&state=banned").want(t, http.StatusOK, `data-total="1"`)
	b.get("/audit").want(t, http.StatusOK, "all devices of the workshop that are served", "3 chosen sessions", "all sessions but for the workshop&#39;s with “bob”")
}

func TestAuditIsFound(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	for i := range 100 + 5 {
		var failure error
		if i%10 == 0 {
			failure = fmt.Errorf("number %d%% failed", i)
		}
		must(t, set.gate.End(begin(t, set, "action", "number "+strconv.Itoa(i)), failure))
	}
	b := newBrowser(t, set).signIn() // which is an entry, too
	for path, want := range map[string]struct{ total, rows int }{
		"/audit":                                {106, 25},
		"/audit?page=5":                         {106, 6},
		"/audit?search=number+10":               {6, 6}, // 10, 100 to 104
		"/audit?search=%25":                     {11, 11},
		"/audit?outcome=" + string(access.Done): {95, 25},
		"/audit?outcome=failed&search=number+1": {2, 2}, // 10 and 100
		"/audit?search=sign+in&sort=at":         {1, 1},
		"/audit?search=nothing+of+the+kind":     {0, 0},
	} {
		page := b.get(path)
		page.want(t, http.StatusOK, fmt.Sprintf(`data-total="%d"`, want.total))
		if rows := strings.Count(page.Body, "data-audit="); rows != want.rows {
			t.Errorf("%s: %d rows", path, rows)
		}
	}
	if page := b.get("/audit?sort=at").Body; strings.Index(page, "number 0<") > strings.Index(page, "number 1<") || !strings.Contains(page, "number 0<") {
		t.Error("the oldest does not come first")
	}
}

// What runs on a phone that is there for the occasion is marked, as what attacks leave behind.
func TestOccasionalPhonesAreMarked(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.post("/apps/run", "stage", "hmac").want(t, http.StatusSeeOther)
	set.bank.locked(func() {
		if len(set.bank.marked) != 0 {
			t.Errorf("the phone's own is marked: %v", set.bank.marked)
		}
	})
	set.mobile.occasional = "one-time"
	b.post("/apps/run", "stage", "hmac").want(t, http.StatusSeeOther)
	set.bank.locked(func() {
		if want := []manage.Installation{{Stage: "hmac", Identifier: "one-time"}}; !slices.Equal(set.bank.marked, want) {
			t.Errorf("marked: %v", set.bank.marked)
		}
	})
}

func TestManyAppsAndKeys(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	now := set.clock.now()
	set.bank.locked(func() {
		for i := range 60 {
			id, at := fmt.Sprintf("app-%02d", i), now.Add(time.Duration(i)*time.Minute)
			set.bank.apps = append(set.bank.apps, manage.App{ID: id, Name: "App " + strconv.Itoa(99-i), CreatedAt: at, Keys: []manage.Key{{ID: id, App: id, CreatedAt: at}}})
			key := manage.Key{ID: fmt.Sprintf("harbour-mobile.%02d", i), App: "harbour-mobile", CreatedAt: at}
			if i == 30 {
				key.RevokedAt = &now
			}
			set.bank.apps[0].Keys = append(set.bank.apps[0].Keys, key)
		}
	})
	b := newBrowser(t, set).signIn()
	b.get("/apps").want(t, http.StatusOK, "1 to 25 of 62 apps", "All 61 keys", "56 older ones are not listed here")
	for path, want := range map[string]struct {
		attribute, first string
		rows             int
	}{
		"/apps?page=3":                         {"data-app", "app-48", 12},
		"/apps?sort=name&page=2":               {"data-app", "app-34", 25}, // App 65
		"/apps?search=app-1":                   {"data-app", "app-10", 10},
		"/apps?search=harbour-mobile.07":       {"data-app", "harbour-mobile", 1},
		"/apps?search=nothing":                 {"data-app", "", 0},
		"/apps/harbour-mobile":                 {"data-key", "harbour-mobile.59", 25},
		"/apps/harbour-mobile?page=3":          {"data-key", "harbour-mobile.09", 11},
		"/apps/harbour-mobile?sort=id":         {"data-key", "harbour-mobile", 25},
		"/apps/harbour-mobile?sort=-revoked":   {"data-key", "harbour-mobile.30", 25},
		"/apps/harbour-mobile?search=mobile.5": {"data-key", "harbour-mobile.59", 10},
	} {
		rows := b.rows(path, want.attribute)
		if len(rows) != want.rows || len(rows) > 0 && rows[0] != want.first {
			t.Errorf("%s: %v", path, rows)
		}
	}
}

// A click that takes something away can be taken back, or is asked first.
func TestWhatIsTakenAwayCanBeUndone(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	populate(set)
	b := newBrowser(t, set).signIn()
	undo := regexp.MustCompile(`(?s)data-notice="done".*?<form method="post" action="([^"]+)">.*?data-undo`)
	for path, want := range map[string]struct{ page, gone, back string }{
		"/devices/D1/ban":             {"/devices", `data-device="D1" data-identifier="a1-phone" data-banned="true"`, `data-device="D1" data-identifier="a1-phone" data-banned="false"`},
		"/keys/harbour-ops/revoke":    {"/apps", `data-key="harbour-ops" data-revoked="true"`, `data-key="harbour-ops" data-revoked="false"`},
		"/keys/quayside-books/revoke": {"/apps", `data-key="quayside-books" data-revoked="true"`, `data-key="quayside-books" data-revoked="false"`},
	} {
		b.post(path, "back", want.page).want(t, http.StatusSeeOther)
		page := b.get(want.page)
		page.want(t, http.StatusOK, want.gone)
		if strings.Contains(page.Body, "genuine app is refused") {
			t.Errorf("%s says more than it knows", path)
		}
		found := undo.FindStringSubmatch(page.Body)
		if found == nil {
			t.Fatalf("%s can't be taken back", path)
		}
		b.post(html.UnescapeString(found[1]), "back", want.page).want(t, http.StatusSeeOther)
		b.get(want.page).want(t, http.StatusOK, want.back)
	}
	// Looking at the pages that ask changes nothing.
	for _, path := range []string{"/sessions/end?all=1", "/devices/ban?all=1", "/devices/remove?id=D1", "/users/alice/sessions/end", "/keys/harbour-mobile/secret"} {
		b.get(path).want(t, http.StatusOK)
	}
	set.bank.locked(func() {
		if len(set.bank.sessions) != 3 || len(set.bank.devices) != 3 || set.bank.devices[0].BannedAt != nil || set.bank.rotated != 0 {
			t.Error("a question has changed something")
		}
	})
	b.get("/apps").want(t, http.StatusOK, `data-ask="rotate-harbour-mobile"`)
}
