package main

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyladder/internal/manage"
	"keyladder/internal/program"
	"keyladder/internal/tempdir"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

func matrixCommand() *cobra.Command {
	var slugs, attacks []string
	var asJSON bool
	var jobs int
	var keep string
	c := &cobra.Command{
		Use:   "matrix",
		Short: "Carry out attacks at stages, each in a fresh lab, and compare with what is expected",
		Long: `Carry out attacks at stages, each in a fresh lab, and compare with what is expected.

Before and after each attack the genuine app has to work in the same lab. At each stage
the API must serve that app, and must refuse, by the right check, what the stages up to
there have closed. The exit code is 1 when a cell, or the genuine app, is not as the
catalog has it. An attack that shows nothing, because something broke, is tried once more;
more than three of those are a fault, too, and the exit code is 1.

With --keep FILE the result can be used again: where the environment variable
KEYLADDER_MATRIX names the file, ` + "`stages readme` and the test of the matrix" + ` take it from there,
as long as no file of the source has changed.

With --json:

  {"cells": [{"stage", "attack", "expected", "outcome", "check", "reason",
    "evidence", "steps", "tries", "ms"}], "genuine": [{"stage", "ok", "reason", "ms"}]}

All members are always there; evidence and steps are lists of texts. The outcome is one
of succeeds, blocked, n/a, not built and inconclusive: it could not be decided, and
reason says why. check is what blocked the attack, empty where nothing did.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runMatrix(c, catalog.All(), slugs, attacks, jobs, asJSON, keep)
		},
	}
	c.Flags().StringArrayVar(&slugs, "stage", nil, "a stage to attack (repeatable; default: all)")
	c.Flags().StringArrayVar(&attacks, "attack", nil, "an attack to carry out (repeatable; default: all)")
	completingFlags(c, map[string]func() []string{"stage": stageNames, "attack": attackNames})
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	c.Flags().StringVar(&keep, "keep", "", "keep the result in this file, too")
	c.Flags().IntVar(&jobs, "jobs", lab.Jobs(), "how many labs at a time")
	return c
}

// runMatrix fills and prints the matrix; the error says that it is not as expected.
func runMatrix(c *cobra.Command, stages catalog.Set, slugs, attacks []string, jobs int, asJSON bool, keep string) error {
	for _, slug := range slugs {
		if _, ok := stages.Lookup(slug); !ok {
			return fmt.Errorf("there is no stage %q: the stages are %s%s", slug, stages.Slugs(), program.DidYouMean(slug, stageNames()))
		}
	}
	for _, name := range attacks {
		if _, ok := catalog.LookupAttack(name); !ok {
			return fmt.Errorf("there is no attack %q: `stages show STAGE` lists them%s", name, program.DidYouMean(name, attackNames()))
		}
	}
	if os.Getenv("GOGC") == "" { // labs hold packages of 10 MB for moments
		debug.SetGCPercent(200)
	}
	if err := tempdir.InMemory(); err != nil {
		return err
	}
	matrix, err := lab.KeepMeasured(keep, func() (manage.Matrix, error) {
		return lab.Matrix(c.Context(), stages, slugs, attacks, jobs, progress(c.ErrOrStderr()))
	})
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(c.OutOrStdout(), matrix)
	} else {
		err = printMatrix(c.OutOrStdout(), stages, matrix)
	}
	if err != nil {
		return err
	}
	return deviations(c.ErrOrStderr(), stages, matrix)
}

// progress tells of each attack when it is over.
func progress(out io.Writer) func(done, total int, latest manage.Cell) {
	return func(done, total int, latest manage.Cell) {
		fmt.Fprintf(out, "[%d/%d] %s at %s: %s\n", done, total, latest.Attack, latest.Stage, latest.Outcome)
	}
}

// deviations tells what is not as expected.
func deviations(out io.Writer, stages catalog.Set, matrix manage.Matrix) error {
	found := 0
	for _, cell := range matrix.Cells {
		if err := referee.Expected(stages, cell); err != nil {
			fmt.Fprintln(out, "not as expected:", err)
			found++
		}
	}
	for _, genuine := range matrix.Genuine {
		if !genuine.OK {
			fmt.Fprintf(out, "not as expected: genuine app at %s: %s\n", genuine.Stage, genuine.Reason)
			found++
		}
	}
	retried := referee.Retried(matrix.Cells)
	for _, cell := range retried {
		fmt.Fprintf(out, "tried %d times: %s at %s: %s\n", cell.Tries, cell.Attack, cell.Stage, cell.Steps[0])
	}
	if len(retried) > referee.MaxRetried {
		fmt.Fprintf(out, "%d attacks showed nothing at first: more than %d are no accident\n", len(retried), referee.MaxRetried)
		found++
	}
	if found > 0 {
		fmt.Fprintf(out, "%d not as expected\n", found)
		return errTold
	}
	return nil
}

// letter is an outcome in a table.
func letter(outcome string) string {
	switch catalog.Outcome(outcome) {
	case catalog.Succeeds:
		return "S"
	case catalog.Blocked:
		return "b"
	case catalog.NotApplicable:
		return "·"
	case catalog.NotBuilt:
		return "-"
	}
	return "?"
}

func printMatrix(out io.Writer, stages catalog.Set, matrix manage.Matrix) error {
	outcomes, slugs, names := arrange(matrix)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "attack")
	for _, slug := range slugs {
		stage, _ := stages.Lookup(slug)
		fmt.Fprintf(table, "\t%d", stage.Number)
	}
	fmt.Fprintln(table)
	for _, name := range names {
		fmt.Fprint(table, name)
		for _, slug := range slugs {
			fmt.Fprintf(table, "\t%s", letter(outcomes[referee.Pair{Stage: slug, Attack: name}]))
		}
		fmt.Fprintln(table)
	}
	fmt.Fprint(table, "genuine app")
	for _, slug := range slugs {
		works := "-"
		for _, genuine := range matrix.Genuine {
			if genuine.Stage == slug && genuine.OK {
				works = "ok"
			} else if genuine.Stage == slug {
				works = "FAILS"
			}
		}
		fmt.Fprintf(table, "\t%s", works)
	}
	fmt.Fprintln(table)
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "S succeeds, b blocked, · does not apply, - not built yet, ? inconclusive")
	return err
}

// arrange lists the matrix's stages and attacks in the order of its cells.
func arrange(matrix manage.Matrix) (outcomes map[referee.Pair]string, slugs, names []string) {
	outcomes = map[referee.Pair]string{}
	seen := map[string]bool{}
	for _, cell := range matrix.Cells {
		outcomes[referee.Pair{Stage: cell.Stage, Attack: cell.Attack}] = cell.Outcome
		if !seen["stage "+cell.Stage] {
			seen["stage "+cell.Stage] = true
			slugs = append(slugs, cell.Stage)
		}
		if !seen["attack "+cell.Attack] {
			seen["attack "+cell.Attack] = true
			names = append(names, cell.Attack)
		}
	}
	return outcomes, slugs, names
}
