package serve

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// UntilSignal is a context that ends at the first interrupt (Ctrl-C) or SIGTERM, so that the
// program can stop in order. It waits for no program that does not: a second signal ends
// the process at once.
func UntilSignal() context.Context {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx
}
