package attacker

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// An attacker that could import the servers, the PKI or the lab would not have to
// steal anything. The same holds for the attacker's tools, whoever uses them.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	allowed := []string{
		"keyladder/mobileclient/attacker", "keyladder/mobileclient/device", "keyladder/mobileclient/release",
		"keyladder/stages/catalog", "keyladder/stages/mechanism", "keyladder/stages/protect",
		"keyladder/internal/traffic", "keyladder/internal/feed", "keyladder/internal/problem", "keyladder/internal/route",
		"keyladder/internal/statefile",
	}
	own := 0
	for path := range strings.Lines(string(out)) {
		path = strings.TrimSpace(path)
		if !strings.HasPrefix(path, "keyladder/") {
			continue
		}
		own++
		if !slices.ContainsFunc(allowed, func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") }) {
			t.Errorf("the attacker depends on %s", path)
		}
	}
	if own == 0 {
		t.Error("go list named none of our packages")
	}
}
