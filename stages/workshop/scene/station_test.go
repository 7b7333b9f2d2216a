package scene

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

// A victim who can't sign in, here because there is no bank, leaves nothing behind: neither
// the phone's folder, which may hold a session key, nor the app's process.
func TestNothingIsLeftOfAVictimWhoCannotSignIn(t *testing.T) {
	data, scratch := t.TempDir(), t.TempDir()
	addresses := deployment.Local(deployment.Ports{deployment.PlainAPI: 1, deployment.API: 1, deployment.TerminatedAPI: 1})
	if _, err := deploy.Init(t.Context(), deploy.Options{Dir: data, Addresses: addresses, Stages: catalog.All()}); err != nil {
		t.Fatal(err)
	}
	folder, err := deployment.Open(data, deployment.Attacker)
	if err != nil {
		t.Fatal(err)
	}
	station, err := New(folder, catalog.All(), traffic.New("attacker", 100))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", scratch)
	for _, attack := range []string{"wiretap", "stolen-bearer", "backup-theft"} {
		report := station.Attack(t.Context(), manage.Brief{Stage: "user-session", Attack: attack, Reference: "r", VictimReference: "v"})
		if !strings.Contains(report.Error, "set the scene: the victim can't sign in") {
			t.Errorf("%s: %+v", attack, report)
		}
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("%s leaves %v, %v", attack, left, err)
		}
		if runtime.GOOS != "linux" {
			continue
		}
		lists, err := filepath.Glob("/proc/self/task/*/children")
		if err != nil {
			t.Fatal(err)
		}
		for _, list := range lists {
			if children, _ := os.ReadFile(list); len(children) > 0 { // a thread may have ended
				t.Errorf("%s leaves the processes %s", attack, children)
			}
		}
	}
}
