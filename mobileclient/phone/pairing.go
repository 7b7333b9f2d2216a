package phone

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/deployment"
)

// Anyone who uses this screen can install programs, which run as whoever started the phone.
// So a browser is paired first: with a code that is good once, and that the terminal and
// the admin UI give. After that a cookie stands for it. Every user of this machine can ask
// this address; only those who are given a code get further.

const (
	pairedCookie = "keyladder-phone"
	pairedFor    = 30 * 24 * time.Hour
	codeFor      = 10 * time.Minute // of a code that was asked for
	maxPaired    = 32               // browsers; the one that was paired first goes
	maxCodes     = 32               // open ones; the same
)

// paired is a browser. Only the hash of its cookie is kept.
type paired struct {
	Cookie string    `json:"cookie"` // SHA-256, in hex
	Until  time.Time `json:"until"`
}

// code is a pairing code that was not used yet.
type code struct {
	hash  string
	until time.Time // zero: until it is used
}

// codes are the pairing codes that are open.
type codes struct {
	mu   sync.Mutex
	open []code
}

// make makes a code that is good once, and for a time; zero: until it is used.
func (c *codes) make(good time.Duration) string {
	text := rand.Text() // 128 random bits and more
	made := code{hash: hashed(text)}
	if good > 0 {
		made.until = time.Now().Add(good)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, made)
	c.open = c.open[max(0, len(c.open)-maxCodes):]
	return text
}

// use is whether a code was good; it is not any more.
func (c *codes) use(text string) bool {
	hash, now := hashed(strings.ToUpper(strings.TrimSpace(text))), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.open, func(open code) bool { return open.hash == hash })
	if i < 0 {
		return false
	}
	found := c.open[i]
	c.open = slices.Delete(c.open, i, i+1)
	return found.until.IsZero() || now.Before(found.until)
}

func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// PairingLink is an address that pairs the browser which opens it with the phone. It is
// good once.
func (p *Phone) PairingLink() string { return LinkOf(p.config.Folder, p.codes.make(0)) }

// LinkOf is the pairing link with that code, at the screen of a deployment's phone.
func LinkOf(folder *deployment.Folder, code string) string {
	return folder.Addresses.URL(deployment.PhoneScreen) + "/pair?" + url.Values{"code": {code}}.Encode()
}

// pairedOnly keeps browsers out that are not paired.
func (p *Phone) pairedOnly(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		switch c.Path() {
		case "/pair", "/healthz", "/style.css", "/icon.svg":
			return next(c)
		}
		if !p.knows(c.Request()) {
			return p.unpaired(c, nil)
		}
		return next(c)
	}
}

// knows is whether a request comes from a paired browser.
func (p *Phone) knows(r *http.Request) bool {
	cookie, err := r.Cookie(pairedCookie)
	if err != nil {
		return false
	}
	hash, now := hashed(cookie.Value), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.state.Paired, func(b paired) bool { return b.Cookie == hash && now.Before(b.Until) })
}

// unpaired says how a browser is paired, and nothing about the phone.
func (p *Phone) unpaired(c echo.Context, n *notice) error {
	return render(c, http.StatusForbidden, pairView(p.config.AdminURL, n))
}

// pair pairs the browser that brings a good code.
func (p *Phone) pair(c echo.Context) error {
	text := c.FormValue("code") // of the link or of the form
	switch {
	case p.codes.use(text):
	case p.knows(c.Request()): // with an old link
		return c.Redirect(http.StatusSeeOther, "/")
	case text == "":
		return p.unpaired(c, nil)
	default:
		return p.unpaired(c, &notice{Title: "This code is not good", Text: "Each is good once, and not for long. Get another one."})
	}
	value := rand.Text()
	browser := paired{Cookie: hashed(value), Until: time.Now().UTC().Add(pairedFor)}
	if err := p.change(func(s *state) {
		s.Paired = append(slices.Clone(s.Paired), browser)
		s.Paired = s.Paired[max(0, len(s.Paired)-maxPaired):]
	}); err != nil {
		return err
	}
	c.SetCookie(&http.Cookie{
		Name: pairedCookie, Value: value, Path: "/", MaxAge: int(pairedFor / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return c.Redirect(http.StatusSeeOther, "/")
}
