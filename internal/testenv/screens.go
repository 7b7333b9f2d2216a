package testenv

import (
	"os"
	"testing"
)

// Screens is the folder for pictures of pages, of both themes, 1280 and 400 pixels wide. The environment
// variable KEYLADDER_SCREENS names it; empty: nobody wants any.
func Screens(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("KEYLADDER_SCREENS")
	if folder == "" {
		return ""
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	return folder
}
