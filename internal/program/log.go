package program

import (
	"context"
	"log/slog"
)

// Warnings is a logger that leaves out whatever is less than a warning of the handler's.
func Warnings(handler slog.Handler) *slog.Logger { return slog.New(warnings{handler}) }

type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
