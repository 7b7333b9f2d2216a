package server

import (
	"container/list"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"keyladder/attestsvc/level"
	"keyladder/attestsvc/references"
	"keyladder/internal/manage"
	"keyladder/stages/mechanism/attestation"
)

// session is one round of attestation, from its challenge on. Its content but for the answer
// never changes.
type session struct {
	id        string
	stage     string
	level     level.Level
	opening   attestation.Opening
	challenge attestation.Challenge
	about     references.Reference // the package that the challenge is over
	key       string               // ID of the client's key that servers share
	opened    time.Time
	expires   time.Time

	reference string // of the result; empty: it was not answered
}

// mostSessions is how many are kept; the oldest go first. One takes some 2 KiB, and can be answered
// for some seconds: as many can be opened meanwhile from a thousand addresses, each as often as it
// may.
const mostSessions = 20_000

// sessions are those of the running service. They are safe for concurrent use, and end with it: an
// app whose session is gone opens another.
type sessions struct {
	most int

	mu                        sync.Mutex
	byID                      map[string]*list.Element // of *session
	order                     *list.List               // the oldest first
	opened, answered, refused int64
}

func newSessions(most int) *sessions {
	return &sessions{most: most, byID: map[string]*list.Element{}, order: list.New()}
}

// open keeps a session, and names it.
func (s *sessions) open(opened session) *session {
	opened.id = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[opened.id] = s.order.PushBack(&opened)
	s.opened++
	for s.order.Len() > s.most {
		oldest := s.order.Remove(s.order.Front()).(*session)
		delete(s.byID, oldest.id)
	}
	return &opened
}

// Errors of [sessions.claim].
var (
	errNoSession = errors.New("there is no such session, or not any more")
	errAnswered  = errors.New("the session was answered already")
	errTooLate   = errors.New("the session has expired")
)

// find is a session of a stage, and the reference of its result.
func (s *sessions) find(stage, id string) (found *session, reference string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element := s.byID[id]
	if element == nil || element.Value.(*session).stage != stage {
		return nil, "", errNoSession
	}
	found = element.Value.(*session)
	return found, found.reference, nil
}

// claim finds a session for whoever is the first to answer it, in time. The result is going to have
// that reference.
//
//keyladder:code attestation-claim
func (s *sessions) claim(stage, id, reference string, at time.Time) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element := s.byID[id]
	err := errNoSession
	if element != nil && element.Value.(*session).stage == stage {
		found := element.Value.(*session)
		switch {
		case found.reference != "":
			err = errAnswered
		case !at.Before(found.expires):
			err = errTooLate
		default:
			found.reference = reference
			s.answered++
			return found, nil
		}
	}
	s.refused++
	return nil, err
}

// States of sessions, for the admin.
const (
	stateWaiting  = "waiting"
	stateAnswered = "answered"
	stateExpired  = "expired"
)

func (s *session) state(at time.Time) string {
	switch {
	case s.reference != "":
		return stateAnswered
	case at.Before(s.expires):
		return stateWaiting
	}
	return stateExpired
}

// shownOfID is how much of a session's ID an admin sees: enough to tell it from others.
const shownOfID = 6

// list is the latest sessions; of a stage and in a state, where they are given.
func (s *sessions) list(at time.Time, stage, state string, part manage.Part) manage.AttestationSessionList {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := manage.AttestationSessionList{Sessions: []manage.AttestationSession{}, Opened: s.opened, Answered: s.answered, Refused: s.refused}
	for element := s.order.Back(); element != nil; element = element.Prev() {
		found := element.Value.(*session)
		is := found.state(at)
		if is == stateWaiting {
			all.Waiting++
		}
		if stage != "" && stage != found.stage || state != "" && state != is {
			continue
		}
		if all.Total >= part.From && len(all.Sessions) < part.Limit {
			all.Sessions = append(all.Sessions, manage.AttestationSession{
				ID: found.id[:shownOfID], Stage: found.stage, Client: found.opening.ClientID, Release: found.opening.Release, Device: found.opening.Device,
				State: is, OpenedAt: found.opened, ExpiresAt: found.expires, Ranges: len(found.challenge.Ranges), Reference: found.reference,
			})
		}
		all.Total++
	}
	return all
}
