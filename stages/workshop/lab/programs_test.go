package lab

import (
	"testing"

	"keyladder/internal/deployment"
)

// A program of the table that the lab can't start would only run in containers.
func TestEveryProgramCanBeStarted(t *testing.T) {
	t.Parallel()
	for _, program := range deployment.Programs() {
		if starters[program.Role] == nil {
			t.Errorf("nothing starts %s", program.Role)
		}
	}
	if len(starters) != len(deployment.Programs()) {
		t.Errorf("%d starters for %d programs", len(starters), len(deployment.Programs()))
	}
}
