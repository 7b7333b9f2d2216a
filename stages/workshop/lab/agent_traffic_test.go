package lab_test

import (
	"slices"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/feed"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/person"
	"keyladder/mobileclient/phone"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
)

// TestTheUserAgentIsSeen: what the authorization server's pages are asked for is on record on the
// phone, too, as the user agent's and under the same exchange as in the other lanes; the password
// is not.
func TestTheUserAgentIsSeen(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	folder, err := deployment.Open(l.Dir, deployment.Phone)
	if err != nil {
		t.Fatal(err)
	}
	people, err := person.Known(folder)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := deployment.Open(l.Dir, deployment.Attacker)
	if err != nil {
		t.Fatal(err)
	}
	alice := people.Named("alice")
	for _, stage := range catalog.All().Built() {
		if !stage.Call.Grant.InAgent() {
			continue
		}
		t.Run(stage.Slug, func(t *testing.T) {
			log := traffic.New("phone", 4096)
			device, err := phone.NewDevice(folder, t.TempDir(), log)
			if err != nil {
				t.Fatal(err)
			}
			defer device.Close()
			installed, err := device.Install(packages.Path(deploy.PackageName(stage.Package.Release)))
			if err != nil {
				t.Fatal(err)
			}
			app, err := device.Launch(t.Context(), installed.Name, stage.Slug)
			if err != nil {
				t.Fatal(err)
			}
			if screen, err := alice.SignIn(t.Context(), device, app); err != nil || !screen.SignedIn {
				t.Fatalf("%+v, %v", screen, err)
			}
			heard, err := l.Auth.Traffic(t.Context(), feed.Cursor{})
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			for _, m := range heard.Entries {
				if m.Stage != stage.Slug || m.Kind != traffic.Request || !strings.Contains(m.Head, "(user agent)") {
					continue
				}
				asked++
				for _, lane := range []traffic.Lane{traffic.App, traffic.Network} {
					if !slices.ContainsFunc(log.After(0), func(on traffic.Message) bool {
						return on.Exchange == m.Exchange && on.Lane == lane && on.From == "user agent" && (lane == traffic.Network || on.To == "auth" && on.Summary == m.Summary)
					}) {
						t.Errorf("%s: not in the lane %q", m.Summary, lane)
					}
				}
			}
			if asked < 3 { // the page, the form with the password, and what the user allows
				t.Errorf("the user agent has asked %d times", asked)
			}
			for _, m := range log.After(0) {
				if strings.Contains(m.Head+string(m.Body), alice.Password) {
					t.Errorf("%s: the password is on record", m.Summary)
				}
			}
		})
	}
}
