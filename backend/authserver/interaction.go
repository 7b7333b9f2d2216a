package authserver

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"keyladder/backend/clients"
	"keyladder/backend/users"
)

// Bounds of what is under way.
const (
	interactionLife = 10 * time.Minute
	interactions    = 10_000 // the oldest goes first
)

// interaction is a sign-in that has begun, from the request of a client to the redirect. It is
// kept in memory: where the server ends meanwhile, the user begins again.
type interaction struct {
	id      string
	browser string // the value of the cookie of the browser that it began in
	begun   time.Time
	stage   string
	client  *clients.App // nil: the user wants to see their consents
	request request
	user    *users.User // who has signed in; nil: nobody yet
	scope   []string    // that the user is asked for
}

// underWay are the sign-ins that have begun. It is safe for concurrent use.
type underWay struct {
	all *lru.Cache[string, *interaction]
	now func() time.Time
}

func newUnderWay(now func() time.Time) *underWay {
	all, _ := lru.New[string, *interaction](interactions) // an error is for a size below 1
	return &underWay{all: all, now: now}
}

// begin begins one in the browser that sent the request, which gets a cookie.
func (u *underWay) begin(w http.ResponseWriter, r *http.Request, i interaction) *interaction {
	i.id, i.begun, i.browser = rand.Text(), u.now(), browserOf(w, r)
	u.all.Add(i.id, &i)
	return &i
}

// find finds one, for the browser that it began in and at its stage: nobody can have another
// one's browser go on with what they have begun. Nil: there is none, or no longer.
func (u *underWay) find(r *http.Request, stage, id string) *interaction {
	i, ok := u.all.Get(id)
	if !ok || i.stage != stage || u.now().Sub(i.begun) > interactionLife {
		return nil
	}
	cookie, err := r.Cookie(browserCookie)
	if err != nil || subtle.ConstantTimeCompare([]byte(cookie.Value), []byte(i.browser)) != 1 {
		return nil
	}
	return i
}

// signedIn is the same sign-in, with the user who was proven and what they are asked for. It has
// another ID: who knew the one before knows nothing of this one. Nil: it has ended, or the form
// was sent twice.
func (u *underWay) signedIn(i *interaction, user *users.User, scope []string) *interaction {
	next := *i
	next.id, next.user, next.scope = rand.Text(), user, scope
	if !u.all.Remove(i.id) {
		return nil
	}
	u.all.Add(next.id, &next)
	return &next
}

// end ends one, and says whether it was there: of two who end it, one does.
func (u *underWay) end(i *interaction) bool { return u.all.Remove(i.id) }

// endOf ends those in which a user has signed in; with no name, all that there are.
func (u *underWay) endOf(name string) {
	for _, i := range u.all.Values() {
		if name == "" || i.user != nil && i.user.Name == name {
			u.all.Remove(i.id)
		}
	}
}

// browserCookie tells browsers apart while somebody signs in. The prefix binds it to this host
// (RFC 6265bis, section 4.1.3.2).
const browserCookie = "__Host-browser"

func browserOf(w http.ResponseWriter, r *http.Request) string {
	if cookie, err := r.Cookie(browserCookie); err == nil && len(cookie.Value) == len(rand.Text()) {
		return cookie.Value
	}
	value := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: browserCookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return value
}
