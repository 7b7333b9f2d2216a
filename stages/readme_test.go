package main

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestFoldersAreListed: the list of folders in README.md has all that are at the top, and where it names
// one in a folder, all that are in that.
func TestFoldersAreListed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "## The folders\n\n```\n")
	list, _, _ = strings.Cut(list, "```")
	listed := map[string][]string{} // by the folder that they are in
	var above []string
	for line := range strings.Lines(list) {
		name, _, ok := strings.Cut(strings.TrimLeft(line, " "), "/ ")
		if !ok {
			continue // goes on with what the line before says
		}
		above = append(above[:(len(line)-len(strings.TrimLeft(line, " ")))/2], name)
		in := path.Join(above[:len(above)-1]...)
		listed[in] = append(listed[in], name)
	}
	for in, names := range listed {
		found, err := filepath.Glob(filepath.Join("..", in, "*"))
		if err != nil {
			t.Fatal(err)
		}
		found = slices.DeleteFunc(found, func(folder string) bool { return !hasCode(folder) })
		for i := range found {
			found[i] = filepath.Base(found[i])
		}
		slices.Sort(names)
		if !slices.Equal(names, found) {
			t.Errorf("README.md lists these folders in %q: %v, and there are %v", in, names, found)
		}
	}
}

// hasCode says whether a folder that is no hidden one holds Go code.
func hasCode(folder string) bool {
	if strings.HasPrefix(filepath.Base(folder), ".") {
		return false
	}
	own, _ := filepath.Glob(filepath.Join(folder, "*.go"))
	below, _ := filepath.Glob(filepath.Join(folder, "*", "*.go"))
	return len(own)+len(below) > 0
}
