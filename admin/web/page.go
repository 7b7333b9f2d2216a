package web

import (
	"errors"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"keyladder/internal/problem"
)

// page is what every page shows around its own.
type page struct {
	Title    string
	Nav      string // path of the part of the site that it belongs to
	SignedIn bool
	CSRF     string
	Notice   *notice
	Down     []programName // programs that do not answer
	Waiting  bool          // something is running: look again by itself
	Self     string        // this page without a fragment, with which browsers would not load it again
	Assets   string        // version of the assets
	PhoneURL string
}

func (s *Server) page(c echo.Context, title, nav string) page {
	p := s.frame(c, title, nav)
	if p.SignedIn {
		p.Notice = s.notices.take(visitorOf(c).Hash)
	}
	return p
}

// frame is a page without the notice, which waits for one that the admin looks at.
func (s *Server) frame(c echo.Context, title, nav string) page {
	p := page{Title: title, Nav: nav, Self: c.Request().URL.RequestURI(), Assets: s.assetHash, PhoneURL: s.cfg.PhoneURL}
	if v := visitorOf(c); v.token != "" {
		p.SignedIn, p.CSRF = true, formToken(v.token)
		p.Down = s.hub.down()
	}
	return p
}

// asset is the address of an asset, which changes with its content.
func (p page) asset(name string) string { return "/assets/" + name + "?v=" + p.Assets }

// noticeKind says how a notice is meant.
type noticeKind string

const (
	noticeDone   noticeKind = "done"
	noticeFailed noticeKind = "failed"
)

// notice is what the last action came to, shown once.
type notice struct {
	Kind noticeKind
	Text string
}

// notices wait for the next page of a session.
type notices struct {
	mu      sync.Mutex
	waiting map[string]notice // by session
}

func newNotices() *notices { return &notices{waiting: map[string]notice{}} }

func (n *notices) put(session string, waiting notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) > 1000 {
		clear(n.waiting)
	}
	n.waiting[session] = waiting
}

func (n *notices) take(session string) *notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	waiting, ok := n.waiting[session]
	if !ok {
		return nil
	}
	delete(n.waiting, session)
	return &waiting
}

// act carries out a change: it is written to the audit log first and completed there
// afterwards, and the next page says what came of it.
func (s *Server) act(c echo.Context, action, subject, done string, do func() error) error {
	v := visitorOf(c)
	entry, err := s.audit.begin(v.who(), addressOf(c), action, subject)
	if err != nil {
		return err
	}
	failure := do()
	if err := s.audit.end(entry, failure); err != nil {
		return errors.Join(failure, err)
	}
	if failure != nil {
		return failure
	}
	s.notices.put(v.Hash, notice{noticeDone, done})
	return nil
}

// inWords is an error for a notice.
func (s *Server) inWords(err error) string {
	_, title, text := s.explain(err)
	return strings.TrimSpace(sentence(title) + " " + text)
}

// refusal is what the program had against what was typed, so that the form is shown again,
// or nil where that is not what went wrong.
func refusal(err error) *problem.Problem {
	var p *problem.Problem
	errors.As(err, &p)
	return p
}
