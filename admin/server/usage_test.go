package server

import (
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"keyladder/admin/programs/programtest"
	"keyladder/internal/manage"
)

// count gives the bank tiers of service, and callers.
func (b *fakeBank) count() {
	b.tiers = []manage.Tier{{Name: "basic", PerSecond: 1, Burst: 5}, {Name: "premium", PerSecond: 200, Burst: 600}}
	b.HandleFunc("GET /tiers", func(w http.ResponseWriter, _ *http.Request) { b.locked(func() { programtest.Answer(w, b.tiers) }) })
	b.HandleFunc("PATCH /tiers/{name}", func(w http.ResponseWriter, r *http.Request) {
		var change manage.TierChange
		_ = json.NewDecoder(r.Body).Decode(&change)
		b.locked(func() {
			i := slices.IndexFunc(b.tiers, func(t manage.Tier) bool { return t.Name == r.PathValue("name") })
			b.tiers[i].PerSecond, b.tiers[i].Burst = *change.PerSecond, *change.Burst
			programtest.Answer(w, b.tiers[i])
		})
	})
	b.HandleFunc("GET /usage/sources", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			b.asked = append(b.asked, r.URL.RawQuery)
			list := manage.SourceList{Sources: []manage.Source{}}
			switch manage.SourceKind(r.FormValue("kind")) {
			case manage.ByUser:
				list.Sources, list.Total = []manage.Source{{Value: "alice", LastDay: "2026-11-21", Calls: manage.Calls{Served: 1234, Refused: 2}}}, 1
			case manage.ByAgent:
				list.Sources, list.Total = []manage.Source{{Value: `<b>Crawler/1.0`, LastDay: "2026-11-20", Calls: manage.Calls{Refused: 77}}}, 120
				list.Others = manage.Calls{Refused: 5000}
			}
			programtest.Answer(w, list)
		})
	})
}

// enter gives an app the limits of its change.
func (b *fakeBank) enter(app *manage.App, change manage.AppChange) {
	if app.Tier = *change.Tier; app.Tier == "" {
		app.PerSecond, app.Burst = *change.PerSecond, *change.Burst
		return
	}
	i := slices.IndexFunc(b.tiers, func(t manage.Tier) bool { return t.Name == app.Tier })
	app.PerSecond, app.Burst = b.tiers[i].PerSecond, b.tiers[i].Burst
}

func TestCallers(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	all := b.get("/callers")
	all.want(t, http.StatusOK, `data-caller="alice"`, "1,234", "&lt;b&gt;Crawler/1.0", "All 120", `href="/callers?kind=agent"`, "5,000 refused", "User sessions</a> on", "No calls.")
	b.get("/callers?stage=tls").want(t, http.StatusOK, "The API can&#39;t know them here: at “TLS” a call says which app is calling", "From “User sessions” on it does.")
	for _, stage := range []string{"user-session", "password-grant", "device-bound"} {
		if page := b.get("/callers?stage=" + stage).Body; strings.Contains(page, "can&#39;t know them") || !strings.Contains(page, `data-caller="alice"`) {
			t.Errorf("users are known at %s", stage)
		}
	}
	b.get("/callers?kind=agent&from=50&search=crawl&stage=tls&app=harbour-mobile").want(t, http.StatusOK,
		`href="/callers?app=harbour-mobile&amp;from=100&amp;kind=agent&amp;search=crawl&amp;stage=tls"`, "51 to 51 of 120")
	want := "app=harbour-mobile&days=14&from=50&kind=agent&limit=50&search=crawl&stage=tls"
	if asked := set.bank.asked[len(set.bank.asked)-1]; asked != want {
		t.Errorf("the server was asked for %s, want %s", asked, want)
	}
	b.get("/callers?from=x&stage=nowhere&kind=agent").want(t, http.StatusOK, "1 to 1 of 120")
}

func TestTiers(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	b.get("/apps").want(t, http.StatusOK, `data-tier="basic"`, "no app")
	b.post("/tiers/basic", "per_second", "2.5", "burst", "7").want(t, http.StatusSeeOther)
	b.get("/apps").want(t, http.StatusOK, `value="2.5"`, "hold for all its apps from now on")
	b.post("/tiers/basic", "per_second", "many", "burst", "7").want(t, http.StatusSeeOther)
	b.get("/apps").want(t, http.StatusOK, `value="2.5"`, "Nothing was changed.")
	b.post("/apps/harbour-ops", "name", "Ops", "user_agent", "HarbourOps/", "tier", "basic", "per_second", "", "burst", "").want(t, http.StatusSeeOther)
	b.get("/apps/harbour-ops").want(t, http.StatusOK, `value="basic" selected`, "2.5 calls a second, 7 at once, as in the tier “basic”")
	b.post("/apps/harbour-ops", "name", "Ops", "user_agent", "HarbourOps/", "tier", "", "per_second", "3", "burst", "9").want(t, http.StatusSeeOther)
	b.get("/apps/harbour-ops").want(t, http.StatusOK, "3 calls a second, 9 at once.")
}

// A developer who has registered an app is shown its ID and a first call.
func TestFirstCall(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	registered := b.post("/apps", "id", "harbour-watch", "name", "Watch", "user_agent", "Ha'rbour/", "scope", "accounts:read", "per_second", "2", "burst", "4")
	registered.want(t, http.StatusSeeOther)
	if to := registered.Header.Get("Location"); to != "/apps/harbour-watch#first-call" {
		t.Errorf("leads to %q", to)
	}
	command := regexp.MustCompile(`data-first-call>([^<]*)<`)
	page := b.get("/apps/harbour-watch").Body
	want := `curl -i -A &#39;Ha&#39;\&#39;&#39;rbour/1.0&#39; -H &#39;Authorization: key harbour-watch&#39; /app-id/v1/accounts` // the address is the deployment's
	if found := command.FindStringSubmatch(page); found == nil || found[1] != want {
		t.Errorf("%q, want %q", found, want)
	}
	b.post("/keys/harbour-watch/revoke").want(t, http.StatusSeeOther)
	b.get("/apps/harbour-watch").want(t, http.StatusOK, "it needs a key that is good")
}

// Links to other pages, in the narratives and beside them, lead somewhere.
func TestNarrativesLinks(t *testing.T) {
	t.Parallel()
	set := newSetting(t, func(c *Config) { c.Stages = declared() })
	b := newBrowser(t, set).signIn()
	pages := []string{"/no-rung"}
	for _, stage := range declared().Built() {
		pages = append(pages, "/stages/"+stage.Slug)
	}
	tried := map[string]bool{}
	for _, page := range pages {
		text := b.get(page).Body
		_, text, _ = strings.Cut(text, `<article class="narrative"`)
		text, _, _ = strings.Cut(text, "</article>")
		for _, link := range regexp.MustCompile(`href="(/[^"#]*)`).FindAllStringSubmatch(text, -1) {
			if tried[link[1]] {
				continue
			}
			tried[link[1]] = true
			if r := b.get(html.UnescapeString(link[1])); r.StatusCode != http.StatusOK {
				t.Errorf("%s leads to %s: %s", page, link[1], r.Status)
			}
		}
	}
	for _, wanted := range []string{"/attacks/memory-hook", "/attacks/static-extract", "/attacks/instrumented-app", "/attacks/flood", "/callers", "/apps", "/no-rung"} {
		if !tried[wanted] {
			t.Errorf("no narrative links to %s", wanted)
		}
	}
	b.get("/stages").want(t, http.StatusOK, `href="/no-rung"`)
}
