// Elsewhere is `go vet ./...`, tests included, for other operating systems and processors:
//
//	go run ./.ci/elsewhere windows/amd64 darwin/arm64
//
// It finds what go vet finds, compile errors among it. But it checks types from the source, of
// the standard library and all dependencies, too. For go vet these are compiled first, for
// each system anew, which takes three times as long and is of no use to anybody here.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/suite/vet"
	"golang.org/x/tools/go/packages"
)

func main() {
	for _, target := range os.Args[1:] {
		if err := check(target); err != nil {
			fmt.Fprintf(os.Stderr, "on %s: %v\n", target, err)
			os.Exit(1)
		}
	}
}

// check has everything in order for a target, SYSTEM/PROCESSOR, or prints what is not.
func check(target string) error {
	system, processor, ok := strings.Cut(target, "/")
	if !ok {
		return errors.New("a target is SYSTEM/PROCESSOR")
	}
	loaded, err := packages.Load(&packages.Config{
		Mode:  packages.LoadAllSyntax | packages.NeedModule,
		Env:   append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+processor),
		Tests: true,
	}, "./...")
	if err != nil {
		return err
	}
	if len(loaded) == 0 {
		return errors.New("there are no packages")
	}
	if found := packages.PrintErrors(loaded); found > 0 {
		return fmt.Errorf("%d errors", found)
	}
	result, err := checker.Analyze(vet.Suite, loaded, nil)
	if err != nil {
		return err
	}
	found := 0
	for _, action := range result.Roots {
		if action.Err != nil {
			return fmt.Errorf("%s: %w", action, action.Err)
		}
		found += len(action.Diagnostics)
	}
	if found == 0 {
		return nil
	}
	return errors.Join(result.PrintText(os.Stderr, -1), fmt.Errorf("%d faults", found))
}
