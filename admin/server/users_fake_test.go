package server

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyladder/admin/programs/programtest"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// fakePeople are the users, sessions, devices and secrets of a fake bank.
type fakePeople struct {
	users    []manage.User
	sessions []manage.Session // newest first
	devices  []manage.Device  // newest first
	secrets  map[string]string
	rotated  int
	opened   int // sessions, ever
}

// welcome adds the routes about people.
func (b *fakeBank) welcome() {
	b.users = []manage.User{{Name: "alice"}, {Name: "bob"}, {Name: "mallory"}, {Name: "carol", Staff: true}}
	b.secrets = map[string]string{}
	b.HandleFunc("GET /users", func(w http.ResponseWriter, _ *http.Request) {
		b.locked(func() {
			users := slices.Clone(b.users)
			for i := range users {
				for _, session := range b.sessions {
					if session.User == users[i].Name {
						users[i].Sessions++
					}
				}
			}
			programtest.Answer(w, users)
		})
	})
	b.HandleFunc("GET /sessions", func(w http.ResponseWriter, _ *http.Request) { b.locked(func() { programtest.Answer(w, b.sessions) }) })
	b.HandleFunc("GET /devices", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() { programtest.Answer(w, b.listDevices(r)) })
	})
	b.HandleFunc("POST /users/{name}/sessions/revoke", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			if !slices.ContainsFunc(b.users, func(u manage.User) bool { return u.Name == r.PathValue("name") }) {
				problem.New(http.StatusNotFound, "no-such-user", "There is no such user", "").Write(w)
				return
			}
			b.sessions = slices.DeleteFunc(b.sessions, func(s manage.Session) bool { return s.User == r.PathValue("name") })
		})
	})
	b.HandleFunc("POST /users/{name}/failed-sign-ins/clear", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			i := slices.IndexFunc(b.users, func(u manage.User) bool { return u.Name == r.PathValue("name") })
			if i < 0 {
				problem.New(http.StatusNotFound, "no-such-user", "There is no such user", "").Write(w)
				return
			}
			b.users[i].FailedSignIns, b.users[i].ThrottledUntil = 0, nil
		})
	})
	b.HandleFunc("POST /sessions/{id}/revoke", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			before := len(b.sessions)
			b.sessions = slices.DeleteFunc(b.sessions, func(s manage.Session) bool { return s.ID == r.PathValue("id") })
			if len(b.sessions) == before {
				problem.New(http.StatusNotFound, "no-such-session", "There is no such session", "").Write(w)
			}
		})
	})
	b.HandleFunc("POST /devices/{id}/ban", func(w http.ResponseWriter, r *http.Request) { b.setBanned(w, r, true) })
	b.HandleFunc("POST /devices/{id}/allow", func(w http.ResponseWriter, r *http.Request) { b.setBanned(w, r, false) })
	b.HandleFunc("POST /keys/{id}/secret", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			b.rotated++
			b.secrets[r.PathValue("id")] = "SECRET" + rand.Text()
			programtest.Answer(w, manage.Secret{Key: r.PathValue("id"), Secret: b.secrets[r.PathValue("id")]})
		})
	})
}

func (b *fakeBank) setBanned(w http.ResponseWriter, r *http.Request, banned bool) {
	b.locked(func() {
		i := slices.IndexFunc(b.devices, func(d manage.Device) bool { return d.ID == r.PathValue("id") })
		if i < 0 {
			problem.New(http.StatusNotFound, "no-such-device", "There is no such device", "").Write(w)
			return
		}
		b.devices[i].BannedAt = nil
		if banned {
			now := b.now()
			b.devices[i].BannedAt = &now
		}
	})
}

// phoneInstallation is what the phone knows about itself at a stage.
type phoneInstallation struct {
	device, session string
}

const phoneIdentifier = "3f6c21aa-phone"

// serves says whether the bank serves a call of the phone's app, and what the app tells
// its user where it does not.
func (b *fakeBank) serves(phone map[string]phoneInstallation, slug, what string) (ok bool, text string) {
	if !b.accepts("harbour-mobile") {
		return false, "The bank does not accept this app. Update it, or ask the bank."
	}
	stage, _ := catalog.All().Lookup(slug)
	own := phone[slug]
	defer func() { phone[slug] = own }()
	b.locked(func() {
		now := b.now()
		switch {
		case stage.Call.AppProof == catalog.Hawk && b.secrets["harbour-mobile"] != "":
			text = "The bank does not accept this app. Update it, or ask the bank."
			return
		case stage.Call.Devices != catalog.RegisteredDevices:
			ok = true
			return
		}
		i := slices.IndexFunc(b.devices, func(d manage.Device) bool { return d.ID == own.device })
		if i < 0 {
			own.device = "DEVICE" + strconv.Itoa(len(b.devices)+1)
			b.devices = slices.Insert(b.devices, 0, manage.Device{ID: own.device, Stage: slug, Identifier: phoneIdentifier, App: "harbour-mobile", RegisteredAt: now})
			i = 0
		}
		if b.devices[i].BannedAt != nil {
			text = "The bank does not serve this phone."
			return
		}
		b.devices[i].LastSeen = &now
		if stage.Call.UserProof != catalog.UserSession || what == "rates" {
			ok = true
			return
		}
		if own.session == "" {
			b.opened++
			own.session = "SESSION" + strconv.Itoa(b.opened)
			b.sessions = slices.Insert(b.sessions, 0, manage.Session{
				ID: own.session, User: "alice", App: "harbour-mobile", Stage: slug, Device: phoneIdentifier,
				CreatedAt: now, LastUsedAt: now, ExpiresAt: now.Add(12 * time.Hour),
			})
		}
		if !slices.ContainsFunc(b.sessions, func(s manage.Session) bool { return s.ID == own.session }) {
			own.session = ""
			text = "You are signed out: your session has ended. Sign in again."
			return
		}
		ok = true
	})
	return ok, text
}

// listDevices are the devices that are asked for, the last seen first.
func (b *fakeBank) listDevices(r *http.Request) manage.DeviceList {
	stage, search := r.FormValue("stage"), r.FormValue("search")
	found := slices.DeleteFunc(slices.Clone(b.devices), func(d manage.Device) bool {
		return stage != "" && d.Stage != stage || d.ID != search && !strings.Contains(d.Identifier, search)
	})
	heard := func(d manage.Device) time.Time {
		if d.LastSeen != nil {
			return *d.LastSeen
		}
		return d.RegisteredAt
	}
	slices.SortStableFunc(found, func(a, b manage.Device) int { return heard(b).Compare(heard(a)) })
	return manage.DeviceList{Devices: found[:min(len(found), manage.MostListed)], Total: len(found)}
}
