package server

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keyladder/stages/mechanism/attestation"
)

// Where there is no room for another session, the oldest goes, whether it was answered or not.
func TestOldestSessionsGo(t *testing.T) {
	t.Parallel()
	s := newSessions(3)
	at := time.Now()
	var ids []string
	for i := range 5 {
		opened := s.open(session{stage: "a", opening: attestation.Opening{Device: fmt.Sprint(i)}, opened: at, expires: at.Add(time.Second)})
		ids = append(ids, opened.id)
		if i == 1 {
			if _, err := s.claim("a", opened.id, "R", at); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, id := range ids {
		if found, _, err := s.find("a", id); i < 2 && !errors.Is(err, errNoSession) || i >= 2 && (err != nil || found.opening.Device != fmt.Sprint(i)) {
			t.Errorf("session %d: %+v, %v", i, found, err)
		}
	}
	if s.order.Len() != 3 || len(s.byID) != 3 || s.opened != 5 || s.answered != 1 {
		t.Errorf("%d in order, %d by ID, %d opened, %d answered", s.order.Len(), len(s.byID), s.opened, s.answered)
	}
}
