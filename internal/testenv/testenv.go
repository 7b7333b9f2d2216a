// Package testenv finds the programs that some tests need beside Go and a C compiler.
package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Strict is the environment variable that turns a skipped test into a failed one. CI
// sets it.
const Strict = "KEYLADDER_CI"

// Program is the path of the first of the named programs that is there. Where none
// is, the test is skipped and says so, or fails if [Strict] is set.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, "none of the programs %v is installed", names)
	return ""
}

// Missing skips the test for want of something, or fails it if [Strict] is set.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(Strict) != "" {
		t.Fatalf("MISSING: "+format, args...)
	}
	t.Skipf("SKIPPED, NOT TESTED: "+format, args...)
}

// NPM installs the npm packages that the package-lock.json in a folder pins, into a folder
// that goes away after the test, and returns what NODE_PATH has to be for a script to find
// them.
func NPM(t testing.TB, locked string) (nodePath string) {
	t.Helper()
	Program(t, "node")
	npm, folder := Program(t, "npm"), t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(locked)); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), npm, "ci", "--cache", filepath.Join(folder, ".cache"),
		"--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=4")
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		Missing(t, "npm ci: %v\n%s", err, output)
	}
	return filepath.Join(folder, "node_modules")
}
