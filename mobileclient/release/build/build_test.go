package build

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/stages/catalog"
)

func TestBuild(t *testing.T) {
	t.Run("takes one that is built", func(t *testing.T) {
		t.Setenv("KEYLADDER_APP_PROGRAM_HIDDEN", "build_test.go")
		programs, err := Build(t.Context(), t.TempDir(), catalog.HiddenSecrets)
		if err != nil || programs[catalog.HiddenSecrets] != "build_test.go" {
			t.Errorf("%v, %v", programs, err)
		}
	})
	t.Run("misses one that is said to be built", func(t *testing.T) {
		t.Setenv("KEYLADDER_APP_PROGRAM_CLEAR", filepath.Join(t.TempDir(), "none"))
		if _, err := Build(t.Context(), t.TempDir(), catalog.ClearSecrets); err == nil || !strings.Contains(err.Error(), "KEYLADDER_APP_PROGRAM_CLEAR") {
			t.Error(err)
		}
	})
	t.Run("says what is missing", func(t *testing.T) {
		t.Setenv("KEYLADDER_APP_PROGRAM_CLEAR", "")
		t.Chdir(t.TempDir())
		_, err := Build(t.Context(), t.TempDir(), catalog.ClearSecrets)
		if !errors.Is(err, ErrNoSource) || !strings.Contains(err.Error(), "KEYLADDER_APP_PROGRAM_CLEAR") {
			t.Errorf("got %v, want %v", err, ErrNoSource)
		}
	})
}
