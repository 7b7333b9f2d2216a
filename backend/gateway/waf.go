package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"
	"gorm.io/gorm"

	"keyladder/backend/guard"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// rules are the OWASP core rule set as it is delivered, at its first paranoia level: what looks like an
// attack adds to the score of a request, which is refused from 5 on. Answers are not looked at, and
// nothing is written into an audit log: it would hold what callers send.
const rules = `
Include @coraza.conf-recommended
Include @crs-setup.conf.example
Include @owasp_crs/*.conf
SecRuleEngine On
SecResponseBodyAccess Off
SecAuditEngine Off
`

// WAF is a web application firewall, Coraza, that can be switched on and off. It takes a second or so,
// and some memory, to read its rules, so it does that when it is switched on.
type WAF struct {
	db  *gorm.DB
	now func() time.Time

	switching sync.Mutex
	engine    atomic.Pointer[engine] // nil: it is off
	checked   atomic.Int64
	refused   atomic.Int64
}

// engine has the rules.
type engine struct {
	coraza.WAF
	rules int
	since time.Time
}

// wafRow says in the database whether it is on, so that it stays on in the next program.
type wafRow struct {
	ID uint `gorm:"primaryKey"` // 1
	On bool
}

func (wafRow) TableName() string { return "gateway_waf" }

// Models are the tables that the gateway needs.
func Models() []any { return []any{&wafRow{}} }

// openWAF is as it was in the program before; off at first. Without a database it remembers nothing.
func openWAF(ctx context.Context, db *gorm.DB, now func() time.Time) (*WAF, error) {
	w := &WAF{db: db, now: now}
	if db == nil {
		return w, nil
	}
	var rows []wafRow
	if err := db.WithContext(ctx).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read whether the web application firewall is on: %w", err)
	}
	if len(rows) == 0 || !rows[0].On {
		return w, nil
	}
	return w, w.load(true)
}

// Switch switches it. It is on, or off, for calls that come when this returns.
func (w *WAF) Switch(ctx context.Context, on bool) error {
	w.switching.Lock()
	defer w.switching.Unlock()
	if w.db != nil {
		if err := w.db.WithContext(ctx).Save(&wafRow{ID: 1, On: on}).Error; err != nil {
			return fmt.Errorf("switch the web application firewall: %w", err)
		}
	}
	return w.load(on)
}

func (w *WAF) load(on bool) error {
	switch {
	case !on:
		w.engine.Store(nil)
		return nil
	case w.engine.Load() != nil:
		return nil
	}
	made, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(rules))
	if err != nil {
		return fmt.Errorf("load the core rule set: %w", err)
	}
	e := &engine{WAF: made, since: w.now()}
	if counted, ok := made.(interface{ RulesCount() int }); ok {
		e.rules = counted.RulesCount()
	}
	w.engine.Store(e)
	return nil
}

// State is whether it is on, and what it has done since the program was started.
func (w *WAF) State() manage.WAF {
	state := manage.WAF{Checked: w.checked.Load(), Refused: w.refused.Load()}
	if e := w.engine.Load(); e != nil {
		state.On, state.Rules, state.Since = true, e.rules, &e.since
	}
	return state
}

// look looks at a call whose caller is proven, as it came: its target, its fields, its body.
//
//keyladder:code gateway-waf
func (w *WAF) look(r *http.Request, caller guard.Caller) error {
	e := w.engine.Load()
	if e == nil {
		return nil
	}
	w.checked.Add(1)
	tx := e.NewTransaction()
	defer tx.Close()
	tx.ProcessConnection(caller.Address().String(), 0, "", 0)
	tx.ProcessURI(r.URL.RequestURI(), r.Method, r.Proto)
	tx.AddRequestHeader("Host", r.Host)
	tx.SetServerName(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			tx.AddRequestHeader(name, value)
		}
	}
	stopped := tx.ProcessRequestHeaders()
	if stopped == nil {
		var err error
		if stopped, _, err = tx.WriteRequestBody(caller.Body()); err != nil {
			return fmt.Errorf("have the web application firewall look at a body: %w", err)
		}
	}
	if stopped == nil {
		var err error
		if stopped, err = tx.ProcessRequestBody(); err != nil {
			return fmt.Errorf("have the web application firewall look at a body: %w", err)
		}
	}
	if stopped == nil {
		return nil
	}
	w.refused.Add(1)
	return &guard.Refusal{
		Check: catalog.CheckWAF, Reason: "rules of the core rule set: " + found(tx.MatchedRules()),
		Problem: problem.New(http.StatusForbidden, "not-allowed", "The call looks like an attack", "The web application firewall has refused it."),
	}
}

// found are the rules that have found something, by their number and message. What they have found
// it in stays out of it.
func found(matched []types.MatchedRule) string {
	var found []string
	for _, m := range matched {
		if text := m.Message(); text != "" && len(found) < 8 {
			found = append(found, fmt.Sprintf("%d %.80s", m.Rule().ID(), text))
		}
	}
	return strings.Join(found, "; ")
}
