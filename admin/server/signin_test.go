package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
)

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set)

	r := b.get("/audit")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/sign-in?next=%2Faudit" {
		t.Errorf("signed out: %d to %q", r.StatusCode, r.Header.Get("Location"))
	}
	b.trySignIn("something else").want(t, http.StatusForbidden, "That is not the password")
	if b.cookie(sessionCookie) != "" {
		t.Error("a wrong password got a session")
	}

	r = b.trySignIn(testPassword)
	r.want(t, http.StatusSeeOther)
	var cookie *http.Cookie
	for _, c := range r.Cookies() {
		if c.Name == sessionCookie {
			cookie = c
		}
	}
	if cookie == nil || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Secure || len(cookie.Value) != 64 {
		t.Fatalf("session cookie: %+v", cookie)
	}
	var stored string
	must(t, set.db.Table("sessions").Select("hash").Row().Scan(&stored))
	if hash := sha256.Sum256([]byte(cookie.Value)); stored != hex.EncodeToString(hash[:]) {
		t.Error("the session is not stored as the hash of its token")
	}
	b.get("/stages").want(t, http.StatusOK, "The ladder")

	// Signing in again makes a new session and ends the old one.
	old := cookie.Value
	other := fresh(t, b.server)
	home, _ := url.Parse(b.server.URL)
	token := other.token("/sign-in")
	other.client.Jar.SetCookies(home, []*http.Cookie{{Name: sessionCookie, Value: old}})
	other.send("/sign-in", url.Values{"csrf": {token}, "password": {testPassword}}).want(t, http.StatusSeeOther)
	if other.cookie(sessionCookie) == old {
		t.Error("the session was not renewed")
	}
	if r := b.get("/stages"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("the old session still works: %d", r.StatusCode)
	}

	kept := other.cookie(sessionCookie)
	other.post("/sign-out").want(t, http.StatusSeeOther)
	other.client.Jar.SetCookies(home, []*http.Cookie{{Name: sessionCookie, Value: kept}})
	if r := other.get("/stages"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a session works after signing out: %d", r.StatusCode)
	}
}

func TestGuessingIsThrottledPerAddress(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set)
	for range 5 {
		b.trySignIn("a guess").want(t, http.StatusForbidden)
	}
	r := b.trySignIn(testPassword)
	r.want(t, http.StatusTooManyRequests, "Too many tries", "not locked")
	wait, err := strconv.Atoi(r.Header.Get("Retry-After"))
	if err != nil || wait < 1 || wait > 12 {
		t.Fatalf("Retry-After: %q", r.Header.Get("Retry-After"))
	}
	if b.cookie(sessionCookie) != "" {
		t.Error("a throttled try was looked at")
	}
	set.clock.turn(time.Duration(wait) * time.Second)
	b.trySignIn(testPassword).want(t, http.StatusSeeOther)
}

func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		set := newSetting(t)
		b := newBrowser(t, set).signIn()
		set.clock.turn(idleTime - time.Second)
		b.get("/stages").want(t, http.StatusOK)
		set.clock.turn(idleTime - time.Second)
		b.get("/stages").want(t, http.StatusOK)
		set.clock.turn(idleTime + time.Second)
		b.get("/stages").want(t, http.StatusSeeOther)
	})
	t.Run("absolute", func(t *testing.T) {
		set := newSetting(t)
		b := newBrowser(t, set).signIn()
		for range int(absoluteTime / (20 * time.Minute)) {
			set.clock.turn(20 * time.Minute)
			b.get("/audit").want(t, http.StatusOK)
		}
		set.clock.turn(time.Second)
		b.get("/audit").want(t, http.StatusSeeOther)
	})
	t.Run("as the settings say", func(t *testing.T) {
		set := newSetting(t, func(c *Config) { c.Settings.AdminIdle, c.Settings.AdminLifetime = 5*time.Minute, 12*time.Minute })
		b := newBrowser(t, set).signIn()
		for range 3 {
			set.clock.turn(4 * time.Minute)
			b.get("/stages").want(t, http.StatusOK)
		}
		set.clock.turn(time.Second)
		b.get("/stages").want(t, http.StatusSeeOther)
		b.signIn()
		set.clock.turn(5*time.Minute + time.Second)
		b.get("/stages").want(t, http.StatusSeeOther)
	})
	t.Run("polling does not keep it alive", func(t *testing.T) {
		set := newSetting(t)
		b := newBrowser(t, set).signIn()
		for range 4 {
			set.clock.turn(idleTime / 4)
			b.get("/jobs/none").want(t, http.StatusNotFound)
		}
		set.clock.turn(time.Second)
		b.get("/jobs/none").want(t, http.StatusForbidden)
		b.repost("/apps/run").want(t, http.StatusForbidden, "You are not signed in")
	})
	t.Run("the place is kept", func(t *testing.T) {
		set := newSetting(t)
		b := newBrowser(t, set).signIn()
		const page = "/devices?stage=hmac"
		b.get(page).want(t, http.StatusOK, `name="page" value="`+page+`"`)
		set.clock.turn(absoluteTime)
		set.clock.turn(time.Second)
		for from, next := range map[string]string{page: "%2Fdevices%3Fstage%3Dhmac", "": "%2Fstages", "https://mallory.test/": "%2Fstages"} {
			b.send("/run", url.Values{"page": {from}}).want(t, http.StatusForbidden, `href="/sign-in?next=`+next+`"`)
		}
		if r := b.get("/sign-in?next=%2Fdevices%3Fstage%3Dhmac"); !strings.Contains(r.Body, `name="next" value="`+page+`"`) {
			t.Error("signing in does not lead back")
		}
		b.signIn()
		b.send("/run", url.Values{"page": {page}}).want(t, http.StatusForbidden, "This form is out of date", `href="`+page+`"`)
	})
}

func TestOtherNamesAreRefused(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, newSetting(t)).signIn()
	for path, status := range map[string]int{"/healthz": http.StatusOK, "/stages": http.StatusMisdirectedRequest, "/sign-in": http.StatusMisdirectedRequest, "/workshop-ca.pem": http.StatusMisdirectedRequest} {
		req, err := http.NewRequest(http.MethodGet, b.server.URL+path, nil)
		must(t, err)
		req.Host = "mallory.test:8000"
		got := b.do(req)
		got.want(t, status)
		if status == http.StatusMisdirectedRequest && !strings.Contains(got.Body, "KEYLADDER_HOSTS=") {
			t.Errorf("%s does not say how to allow a name:\n%s", path, got.Body)
		}
	}
}

// repost sends a form without asking for a token first.
func (b *browser) repost(path string) reply {
	return b.send(path, url.Values{"csrf": {b.latest}})
}

func TestPasswords(t *testing.T) {
	t.Run("made at the first start, once", func(t *testing.T) {
		set := newSetting(t, func(c *Config) { c.Password = "" })
		made := set.InitialPassword()
		if len(strings.ReplaceAll(made, "-", "")) != 25 { // 5 bits a letter
			t.Fatalf("made %q", made)
		}
		newBrowser(t, set).trySignIn(made).want(t, http.StatusSeeOther)
		must(t, set.Close())
		set.open(t, func(c *Config) { c.Password = "" })
		if set.InitialPassword() != "" {
			t.Error("another one was made")
		}
		newBrowser(t, set).trySignIn(made).want(t, http.StatusSeeOther)
	})
	t.Run("stored as Argon2id at OWASP's cost", func(t *testing.T) {
		set := newSetting(t, func(c *Config) { c.PasswordCost = nil })
		var stored string
		must(t, set.db.Table("admins").Select("hash").Row().Scan(&stored))
		params, _, _, err := argon2id.DecodeHash(stored)
		must(t, err)
		if params.Memory != 19456 || params.Iterations != 2 || params.Parallelism != 1 {
			t.Errorf("cost: %+v", params)
		}
	})
	t.Run("another one replaces it and ends the sessions", func(t *testing.T) {
		var log bytes.Buffer
		before := slog.Default()
		slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
		defer slog.SetDefault(before)
		set := newSetting(t)
		b := newBrowser(t, set).signIn()
		must(t, set.Close())
		set.open(t, func(c *Config) { c.Password = "quite another one" })
		again := newBrowser(t, set)
		again.keep(sessionCookie, b.cookie(sessionCookie))
		again.get("/stages").want(t, http.StatusSeeOther)
		again.trySignIn(testPassword).want(t, http.StatusForbidden)
		again.trySignIn("quite another one").want(t, http.StatusSeeOther)
		if !strings.Contains(log.String(), "replaced") || strings.Contains(log.String(), "quite another") {
			t.Errorf("the log says: %s", log.String())
		}
	})
	t.Run("the same letters, typed in another way", func(t *testing.T) {
		set := newSetting(t, func(c *Config) { c.Password = "caf\u00e9 au lait noir" })
		newBrowser(t, set).trySignIn("cafe\u0301 au lait noir").want(t, http.StatusSeeOther)
		newBrowser(t, set).trySignIn("cafe au lait noir").want(t, http.StatusForbidden)
	})
	t.Run("the same one changes nothing", func(t *testing.T) {
		set := newSetting(t)
		b := newBrowser(t, set).signIn()
		token := b.cookie(sessionCookie)
		must(t, set.Close())
		set.open(t)
		again := newBrowser(t, set)
		again.keep(sessionCookie, token)
		again.get("/stages").want(t, http.StatusOK)
	})
}

// changingRoutes are all routes that change something, with their parameters filled in.
func changingRoutes(set *setting) []string {
	fill := strings.NewReplacer(":stage", "tls", ":attack", "wiretap", ":app", "harbour-mobile", ":key", "harbour-mobile", ":id", "1")
	var paths []string
	for _, route := range set.echo.Routes() {
		if route.Method == http.MethodPost && route.Path != "/sign-in" {
			paths = append(paths, fill.Replace(route.Path))
		}
	}
	return paths
}

func TestFormsNeedTheirToken(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	stranger := fresh(t, b.server).signIn()
	audited := func() int64 {
		var count int64
		must(t, set.db.Model(&access.Entry{}).Count(&count).Error)
		return count
	}
	before := audited()
	paths := changingRoutes(set)
	if len(paths) < 12 {
		t.Fatalf("only %d routes change something", len(paths))
	}
	for _, path := range paths {
		for name, form := range map[string]url.Values{
			"no token":          {"confirm": {"RESET"}, "stage": {"tls"}},
			"another session's": {"csrf": {stranger.token("/reset")}, "confirm": {"RESET"}},
			"the cookie itself": {"csrf": {b.cookie(sessionCookie)}, "confirm": {"RESET"}},
		} {
			if r := b.send(path, form); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s with %s: status %d", path, name, r.StatusCode)
			}
		}
		// A token in the URL is none.
		if r := b.send(path+"?csrf="+b.token("/reset"), nil); r.StatusCode != http.StatusForbidden {
			t.Errorf("%s with the token in its URL: status %d", path, r.StatusCode)
		}
	}
	if set.bank.resets != 0 || audited() != before || len(set.referee.ran) != 0 {
		t.Error("something was done all the same")
	}
	b.send("/sign-in", url.Values{"password": {testPassword}}).want(t, http.StatusForbidden)
}

func TestOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set).signIn()
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		form := url.Values{"csrf": {b.token("/reset")}, "confirm": {"RESET"}}
		req, err := http.NewRequest(http.MethodPost, b.server.URL+"/reset", strings.NewReader(form.Encode()))
		must(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set(name, value)
		b.do(req).want(t, http.StatusForbidden, "Another web site")
	}
	if set.bank.resets != 0 {
		t.Error("it was reset")
	}
}

func TestEverythingElseNeedsASession(t *testing.T) {
	t.Parallel()
	set := newSetting(t)
	b := newBrowser(t, set)
	public := map[string]bool{"/healthz": true, "/workshop-ca.pem": true, "/packages/:file": true, "/assets/:file": true, "/sign-in": true}
	for _, route := range set.echo.Routes() {
		if public[route.Path] || route.Method == echo.RouteNotFound {
			continue
		}
		var r reply
		if route.Method == http.MethodPost {
			r = b.send(route.Path, nil)
		} else {
			r = b.get(route.Path)
		}
		signIn := r.StatusCode == http.StatusSeeOther && strings.HasPrefix(r.Header.Get("Location"), "/sign-in")
		if !signIn && r.StatusCode != http.StatusForbidden {
			t.Errorf("%s %s: status %d", route.Method, route.Path, r.StatusCode)
		}
	}
	b.get("/healthz").want(t, http.StatusOK, "ok")
	b.get("/workshop-ca.pem").want(t, http.StatusOK, "BEGIN CERTIFICATE")
	b.get("/packages/harbour-bank-1.pkg").want(t, http.StatusOK, "a program")
	b.get("/packages/admin.db").want(t, http.StatusNotFound)
	b.get("/packages/..%2Fadmin.db").want(t, http.StatusNotFound)
}
