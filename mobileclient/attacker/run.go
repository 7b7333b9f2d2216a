package attacker

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"keyladder/mobileclient/attacker/appside"
	"keyladder/mobileclient/attacker/attack"
)

var attacks = map[string]func(context.Context, *attack.Given) (attack.Result, error){
	"unknown-client":     unknownClient,
	"flood":              flood,
	"wiretap":            wiretap,
	"url-leak":           urlLeak,
	"wire-tamper":        wireTamper,
	"trusted-proxy":      appside.TrustedProxy,
	"repin":              appside.Repin,
	"static-extract":     appside.StaticExtract,
	"memory-hook":        appside.MemoryHook,
	"repackaged-app":     appside.RepackagedApp,
	"instrumented-app":   appside.InstrumentedApp,
	"hash-spoof":         appside.HashSpoof,
	"attestation-replay": appside.AttestationReplay,
	"challenge-oracle":   appside.ChallengeOracle,
	"token-lift":         appside.TokenLift,
	"replay":             replay,
	"proxy-tamper":       proxyTamper,
	"stolen-bearer":      stolenBearer,
	"password-guess":     passwordGuess,
	"password-grab":      appside.PasswordGrab,
	"backup-theft":       appside.BackupTheft,
	"backup-restore":     appside.BackupRestore,
	"token-forge":        tokenForge,
	"agent-spy":          agentSpy,
	"redirect-swap":      redirectSwap,
	"code-hijack":        appside.CodeHijack,
	"code-relay":         appside.CodeRelay,
	"verifier-spy":       appside.VerifierSpy,
	"weak-provider":      appside.WeakProvider,
	"refresh-reuse":      appside.RefreshReuse,
	"hardware-oracle":    appside.HardwareOracle,
}

// thefts are those of which the matrix knows nothing: they are carried out to find out what their loot
// is worth.
var thefts = map[string]func(context.Context, *attack.Given) (attack.Result, error){
	"held-call": heldCall,
}

// Names are the attacks that can be run, in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(attacks)) }

// Run carries out the named attack or theft. The error says that it could not be carried out
// and nothing was learned; it is an [*debugger.Impossible] where the operating system does
// not allow it at all.
func Run(ctx context.Context, name string, g *attack.Given) (attack.Result, error) {
	run, ok := attacks[name]
	if !ok {
		run, ok = thefts[name]
	}
	if !ok {
		return attack.Result{}, fmt.Errorf("there is no attack %q", name)
	}
	result, err := run(ctx, g)
	if err != nil {
		return attack.Result{}, fmt.Errorf("%s: %w", name, err)
	}
	if !result.Claim && result.Obstacle == "" {
		return attack.Result{}, fmt.Errorf("%s: neither succeeded nor was stopped by anything", name)
	}
	return result, nil
}
