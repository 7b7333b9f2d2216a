package lab_test

import (
	"testing"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/workshop/lab"
)

// What attacks, probes and the runs of the genuine app around them register is marked, whoever
// registered it: an app on a phone, a program of the attacker's, or a probe.
func TestWhatTheWorkshopLeavesBehindIsMarked(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	l := start(t, lab.Options{})
	ctx := t.Context()
	count := func(by manage.Maker) (devices, sessions int) {
		t.Helper()
		d, err := manage.Devices(ctx, l.Resource, manage.DeviceQuery{DeviceFilter: manage.DeviceFilter{By: by}, Part: manage.Part{Limit: 1}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := manage.Sessions(ctx, l.Resource, manage.SessionQuery{SessionFilter: manage.SessionFilter{By: by}, Part: manage.Part{Limit: 1}})
		if err != nil {
			t.Fatal(err)
		}
		return d.Total, s.Total
	}
	phone := launch(t, newDevice(t, l, 2), "user-session")
	served(t, "alice signs in", signInAs(t, l, phone, "alice"))
	runs := map[string]func(){
		"the genuine app, and probes": func() {
			if genuine := l.Referee.GenuineAlone(ctx, "user-session"); !genuine.OK {
				t.Error(genuine.Reason)
			}
		},
		"an attack by a program of its own": func() {
			if cell := l.Referee.Attack(ctx, "user-session", "memory-hook"); cell.Outcome != cell.Expected {
				t.Errorf("%+v", cell)
			}
		},
		"an attack by a look-alike": func() {
			if cell := l.Referee.Attack(ctx, "user-session", "password-grab"); cell.Outcome != cell.Expected {
				t.Errorf("%+v", cell)
			}
		},
	}
	for name, run := range runs {
		before, beforeSessions := count(manage.Workshop)
		run()
		devices, sessions := count(manage.Workshop)
		if devices <= before || sessions <= beforeSessions {
			t.Errorf("%s: %d devices and %d sessions are marked", name, devices-before, sessions-beforeSessions)
		}
		if devices, sessions := count(manage.NotWorkshop); devices != 1 || sessions != 1 {
			t.Errorf("%s: %d devices and %d sessions are not marked, and alice has one each", name, devices, sessions)
		}
	}
}
