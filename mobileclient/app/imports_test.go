package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The app is what everybody gets to have: what it is made of, the attacker reads, and what it does
// not need makes each package larger and each start slower. So nothing of the servers is in
// it, neither ours nor what they are built on.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	allowed := []string{
		"keyladder/mobileclient/app", "keyladder/mobileclient/device/sdk", "keyladder/mobileclient/release",
		"keyladder/stages/catalog", "keyladder/stages/mechanism", "keyladder/stages/protect",
		"keyladder/internal/traffic", "keyladder/internal/feed",
	}
	servers := []string{"keyladder/internal/feed/durable", "github.com/labstack/", "gorm.io/", "database/sql"}
	under := func(prefixes []string, path string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool {
			return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
		})
	}
	own := 0
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		ours := strings.HasPrefix(path, "keyladder/")
		if ours {
			own++
		}
		if ours && !under(allowed, path) || under(servers, path) {
			t.Errorf("the app depends on %s", path)
		}
	}
	if own == 0 {
		t.Error("go list named none of our packages")
	}
}
