package attacker

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// attack carries out one attack.
type attack func(context.Context, *Given) (Result, error)

var attacks = map[string]attack{
	"unknown-client":   unknownClient,
	"flood":            flood,
	"wiretap":          wiretap,
	"url-leak":         urlLeak,
	"wire-tamper":      wireTamper,
	"trusted-proxy":    trustedProxy,
	"repin":            repin,
	"static-extract":   staticExtract,
	"memory-hook":      memoryHook,
	"repackaged-app":   repackagedApp,
	"instrumented-app": instrumentedApp,
	"token-lift":       tokenLift,
	"replay":           replay,
	"proxy-tamper":     proxyTamper,
	"stolen-bearer":    stolenBearer,
	"password-guess":   passwordGuess,
	"password-grab":    passwordGrab,
	"backup-theft":     backupTheft,
	"backup-restore":   backupRestore,
	"token-forge":      tokenForge,
}

// Names are the attacks that can be run, in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(attacks)) }

// Run carries out the named attack. The error says that it could not be carried out
// and nothing was learned; it is an [*debugger.Impossible] where the operating system does
// not allow it at all.
func Run(ctx context.Context, name string, g *Given) (Result, error) {
	run, ok := attacks[name]
	if !ok {
		return Result{}, fmt.Errorf("there is no attack %q", name)
	}
	result, err := run(ctx, g)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", name, err)
	}
	if !result.Claim && result.Obstacle == "" {
		return Result{}, fmt.Errorf("%s: neither succeeded nor was stopped by anything", name)
	}
	return result, nil
}
