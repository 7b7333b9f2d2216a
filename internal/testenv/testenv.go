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

// Packages is the environment variable with the folder into which the npm packages are
// installed already. CI sets it, and has the Node.js of the same packages in its PATH.
const Packages = "KEYLADDER_NPM"

// NPM is what NODE_PATH has to be for a script to find the npm packages that .ci/npm pins. Where
// they are not installed ([Packages]), it installs them into a folder that goes away after the
// test.
func NPM(t testing.TB) (nodePath string) {
	t.Helper()
	Program(t, "node")
	if installed := os.Getenv(Packages); installed != "" {
		return filepath.Join(installed, "node_modules")
	}
	npm, folder := Program(t, "npm"), t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(source(t), ".ci", "npm"))); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), npm, "ci", "--omit=dev", "--cache", filepath.Join(folder, ".cache"),
		"--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=4")
	command.Dir = folder
	if output, err := command.CombinedOutput(); err != nil {
		Missing(t, "npm ci: %v\n%s", err, output)
	}
	return filepath.Join(folder, "node_modules")
}

// Axe is the script of axe-core, which finds faults of a page that keep people out. It is the
// version that .ci/npm pins.
func Axe(t testing.TB) (script string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(NPM(t), "axe-core", "axe.min.js"))
	if err != nil {
		Missing(t, "axe-core: %v", err)
	}
	return string(data)
}

// source is the folder of the repository, which tests run somewhere in.
func source(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("this is not the repository")
		}
		dir = filepath.Dir(dir)
	}
}
