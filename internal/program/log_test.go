package program_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"keyladder/internal/program"
)

func TestWarnings(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := program.Warnings(slog.NewTextHandler(&out, nil))
	log.Info("served")
	log.With("a", 1).WithGroup("g").Info("served")
	log.Warn("slow")
	log.With("a", 1).WithGroup("g").Error("failed")
	if got := out.String(); strings.Contains(got, "served") || !strings.Contains(got, "slow") || !strings.Contains(got, "failed a=1") {
		t.Errorf("it prints\n%s", got)
	}
}
