package main

import (
	"testing"

	"keyladder/internal/deployment"
	"keyladder/stages/workshop/lab"
)

// runLab runs a lab until the test ends, for commands that are given its folder.
func runLab(t *testing.T) *lab.Lab {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the app and runs a lab")
	}
	l, err := lab.Start(t.Context(), lab.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// folderOf is a program's folder in a lab.
func folderOf(t *testing.T, l *lab.Lab, role deployment.Role) *deployment.Folder {
	t.Helper()
	folder, err := deployment.Open(l.Dir, role)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}
