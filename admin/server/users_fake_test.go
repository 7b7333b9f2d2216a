package server

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
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
	marked   []manage.Installation
}

// welcome adds the routes about people.
func (b *fakeBank) welcome() {
	b.users = []manage.User{{Name: "alice"}, {Name: "bob"}, {Name: "mallory"}, {Name: "carol", Staff: true}}
	b.secrets = map[string]string{}
	b.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() {
			users := slices.DeleteFunc(slices.Clone(b.users), func(u manage.User) bool { return !strings.Contains(u.Name, r.FormValue("search")) })
			for i := range users {
				for _, session := range b.sessions {
					if session.User == users[i].Name {
						users[i].Sessions++
					}
				}
			}
			programtest.Answer(w, manage.UserList{Users: part(r, users), Total: len(users)})
		})
	})
	b.HandleFunc("GET /sessions", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() { programtest.Answer(w, b.listSessions(r)) })
	})
	b.HandleFunc("POST /sessions/revoke", func(w http.ResponseWriter, r *http.Request) {
		var s manage.SessionSelection
		_ = json.NewDecoder(r.Body).Decode(&s)
		b.locked(func() {
			before := len(b.sessions)
			b.sessions = slices.DeleteFunc(b.sessions, func(one manage.Session) bool {
				return slices.Contains(s.IDs, one.ID) || len(s.IDs) == 0 && meansSession(s.SessionFilter, one)
			})
			programtest.Answer(w, manage.Changed{Changed: before - len(b.sessions)})
		})
	})
	for path, change := range map[string]func(*manage.Device) (keep bool){
		"ban":    func(d *manage.Device) bool { now := b.now(); d.BannedAt = &now; return true },
		"allow":  func(d *manage.Device) bool { d.BannedAt = nil; return true },
		"remove": func(*manage.Device) bool { return false },
	} {
		b.HandleFunc("POST /devices/"+path, func(w http.ResponseWriter, r *http.Request) {
			var s manage.DeviceSelection
			_ = json.NewDecoder(r.Body).Decode(&s)
			b.locked(func() { programtest.Answer(w, manage.Changed{Changed: b.changeDevices(s, change)}) })
		})
	}
	b.HandleFunc("POST /workshop", func(w http.ResponseWriter, r *http.Request) {
		b.locked(func() { _ = json.NewDecoder(r.Body).Decode(&b.marked) })
	})
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
	stage, _ := declared().Lookup(slug)
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

// part is the part of a list that is asked for.
func part[T any](r *http.Request, all []T) []T {
	from, _ := strconv.Atoi(r.FormValue("from"))
	limit, err := strconv.Atoi(r.FormValue("limit"))
	if err != nil {
		limit = manage.MostListed
	}
	all = all[min(from, len(all)):]
	return all[:min(limit, len(all))]
}

func by(maker manage.Maker, workshop bool) bool {
	return maker == manage.Anyone || (maker == manage.Workshop) == workshop
}

func meansSession(f manage.SessionFilter, s manage.Session) bool {
	return (f.User == "" || s.User == f.User) && (f.Stage == "" || s.Stage == f.Stage) && by(f.By, s.Workshop) &&
		(s.ID == f.Search || strings.Contains(s.User+" "+s.App+" "+s.Device, f.Search))
}

func meansDevice(f manage.DeviceFilter, d manage.Device) bool {
	return (f.Stage == "" || d.Stage == f.Stage) && by(f.By, d.Workshop) &&
		(f.State == "" || (f.State == "banned") == (d.BannedAt != nil)) &&
		(d.ID == f.Search || strings.Contains(d.Identifier, f.Search))
}

// listSessions are the sessions that are asked for, by user or the latest first.
func (b *fakeBank) listSessions(r *http.Request) manage.SessionList {
	filter := manage.SessionFilter{User: r.FormValue("user"), Stage: r.FormValue("stage"), Search: r.FormValue("search"), By: manage.Maker(r.FormValue("by"))}
	found := slices.DeleteFunc(slices.Clone(b.sessions), func(s manage.Session) bool { return !meansSession(filter, s) })
	if r.FormValue("sort") == "user" {
		slices.SortStableFunc(found, func(a, b manage.Session) int { return cmp.Compare(a.User, b.User) })
	}
	return manage.SessionList{Sessions: part(r, found), Total: len(found)}
}

// listDevices are the devices that are asked for, by identifier or the last seen first.
func (b *fakeBank) listDevices(r *http.Request) manage.DeviceList {
	filter := manage.DeviceFilter{Stage: r.FormValue("stage"), Search: r.FormValue("search"), State: r.FormValue("state"), By: manage.Maker(r.FormValue("by"))}
	found := slices.DeleteFunc(slices.Clone(b.devices), func(d manage.Device) bool { return !meansDevice(filter, d) })
	heard := func(d manage.Device) time.Time {
		if d.LastSeen != nil {
			return *d.LastSeen
		}
		return time.Time{}
	}
	slices.SortStableFunc(found, func(a, b manage.Device) int {
		if r.FormValue("sort") == "identifier" {
			return cmp.Compare(a.Identifier, b.Identifier)
		}
		return heard(b).Compare(heard(a))
	})
	return manage.DeviceList{Devices: part(r, found), Total: len(found)}
}

// changeDevices changes those that are selected, and says how many they are.
func (b *fakeBank) changeDevices(s manage.DeviceSelection, change func(*manage.Device) (keep bool)) (count int) {
	var left []manage.Device
	for _, device := range b.devices {
		if slices.Contains(s.IDs, device.ID) || len(s.IDs) == 0 && meansDevice(s.DeviceFilter, device) {
			count++
			if !change(&device) {
				continue
			}
		}
		left = append(left, device)
	}
	b.devices = left
	return count
}
