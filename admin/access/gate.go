package access

import (
	"cmp"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/admin/ui"
)

// Config is what a gate needs.
type Config struct {
	DB       *gorm.DB // with the tables of [Tables]
	Now      func() time.Time
	Sessions Lifetimes
	Cost     *argon2id.Params   // of the password's hash; nil: what OWASP recommends
	Parts    []ui.NavItem       // of the site, for its navigation
	Down     func() []ui.Absent // programs that do not answer
	Unwell   func() []ui.Unwell // programs that can't do all of their work
	PhoneURL string             // where a browser finds the phone's screen; empty: no link
}

// Tables are what a gate keeps in its database.
func Tables() []any { return []any{&admin{}, &session{}, &Entry{}} }

// Gate lets the admin in.
type Gate struct {
	cfg      Config
	vault    *vault
	throttle *throttle
	audit    *auditLog
	notices  *notices
}

// New makes a gate. It sees to the admin's password: the given one, or as it is stored, or
// one that it makes at the first start and returns.
func New(cfg Config, password string) (g *Gate, made string, err error) {
	g = &Gate{
		cfg: cfg, vault: newVault(cfg.DB, cfg.Now, cfg.Sessions, cmp.Or(cfg.Cost, passwordCost)), throttle: newThrottle(),
		audit: &auditLog{db: cfg.DB, now: cfg.Now}, notices: newNotices(),
	}
	if err := g.audit.setUp(); err != nil {
		return nil, "", err
	}
	made, replaced, err := g.vault.setUp(password)
	if err != nil {
		return nil, "", err
	}
	if replaced {
		entry, err := g.audit.begin("start", "", "replace the admin's password", "ADMIN_PASSWORD")
		if err != nil {
			return nil, "", err
		}
		if err := g.audit.end(entry, nil); err != nil {
			return nil, "", err
		}
	}
	return g, made, nil
}

// Mount adds the routes for signing in and out.
func (g *Gate) Mount(e *echo.Echo) {
	e.GET("/sign-in", g.signInPage)
	e.POST("/sign-in", g.signIn)
	e.POST("/sign-out", g.signOut, g.SignedIn)
}

// Page is a page of a part of the site, with the notice that waits for the admin.
func (g *Gate) Page(c echo.Context, title, nav string) ui.Page {
	p := g.frame(c, title, nav)
	if p.SignedIn {
		p.Notice = g.notices.take(visitorOf(c).Hash)
	}
	return p
}

// Ask shows the page that asks before something is done, which comes back to where it was opened,
// or to the part of the site that it belongs to.
func (g *Gate) Ask(c echo.Context, q ui.Question, nav string) error {
	q.Back = OwnPath(cmp.Or(c.QueryParam("back"), nav))
	q.Fields = maps.Clone(q.Fields)
	if q.Fields == nil {
		q.Fields = url.Values{}
	}
	q.Fields.Set("back", q.Back)
	return ui.Render(c, http.StatusOK, ui.QuestionView(g.Page(c, strings.TrimSuffix(q.Title, "?"), nav), q))
}

// PhoneURL is where a browser finds the phone's screen; empty: there is none to go to.
func (g *Gate) PhoneURL() string { return g.cfg.PhoneURL }

// frame is a page without the notice, which waits for one that the admin looks at.
func (g *Gate) frame(c echo.Context, title, nav string) ui.Page {
	p := ui.Page{Title: title, Nav: nav, Parts: g.cfg.Parts, Self: c.Request().URL.RequestURI(), PhoneURL: g.cfg.PhoneURL}
	if v := visitorOf(c); v.token != "" {
		p.SignedIn, p.CSRF = true, formToken(v.token)
		p.Down, p.Unwell = g.cfg.Down(), g.cfg.Unwell()
	}
	return p
}

// Act carries out a change: it is written to the audit log first and completed there
// afterwards, and the next page says that it was done, unless done is empty.
func (g *Gate) Act(c echo.Context, action, subject, done string, do func() error) error {
	entry, err := g.Begin(c, action, subject)
	if err != nil {
		return err
	}
	failure := do()
	if err := g.End(entry, failure); err != nil {
		return errors.Join(failure, err)
	}
	if failure != nil {
		return failure
	}
	if done != "" {
		g.Notify(c, ui.Notice{Kind: ui.Done, Text: done})
	}
	return nil
}

// Begin writes an action to the audit log. It must not be carried out when that fails.
func (g *Gate) Begin(c echo.Context, action, subject string) (*Entry, error) {
	return g.audit.begin(visitorOf(c).who(), addressOf(c), action, subject)
}

// End completes an entry; failure is why the action failed.
func (g *Gate) End(entry *Entry, failure error) error { return g.audit.end(entry, failure) }

// Audit returns the entries of the audit log that are asked for, and how many fit in all.
func (g *Gate) Audit(q AuditQuery) ([]Entry, int, error) { return g.audit.list(q) }

// Notify has the next page of the admin's session say something.
func (g *Gate) Notify(c echo.Context, notice ui.Notice) { g.notices.put(visitorOf(c).Hash, notice) }

// notices wait for the next page of a session.
type notices struct {
	mu      sync.Mutex
	waiting map[string]ui.Notice // by session
}

func newNotices() *notices { return &notices{waiting: map[string]ui.Notice{}} }

func (n *notices) put(session string, waiting ui.Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) > 1000 {
		clear(n.waiting)
	}
	n.waiting[session] = waiting
}

func (n *notices) take(session string) *ui.Notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	waiting, ok := n.waiting[session]
	if !ok {
		return nil
	}
	delete(n.waiting, session)
	return &waiting
}
