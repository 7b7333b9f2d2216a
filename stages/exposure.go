package main

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyladder/internal/manage"
	"keyladder/internal/program"
	"keyladder/stages/catalog"
	"keyladder/stages/catalog/exposure"
	measuring "keyladder/stages/workshop/exposure"
	"keyladder/stages/workshop/lab"
)

func exposureCommand() *cobra.Command {
	var slugs, thefts []string
	var asJSON bool
	var jobs int
	var keep string
	c := &cobra.Command{
		Use:   "exposure",
		Short: "Measure how many calls a theft buys, and for how long",
		Long: `Measure how many calls a theft buys, and for how long.

Each theft is carried out at each stage in a fresh lab, as the attack of that name. From then on
the thief has the loot, and not the position that it came from, and reads the accounts with it, or
sends the call again that it is, while the clocks of the servers are moved ahead, well before and
well after each lifetime that a deployment has, until the API refuses. Thieves keep the loot in
use, renew what can be renewed with it, and, being customers, sign in as themselves where that
helps; the victim does not use the app meanwhile. What was stolen behind the end of TLS is sent
from there.

  0            no call is served
  1 in 15 s    one call, within that time
  1 min        as many as the rate limits let through, for that time
  ∞            the same, still after all lifetimes: until somebody takes it back, by revoking or
               rotating what was stolen, or by withdrawing the release
  ·            there is no such thing to steal
  -            the stage is not built yet

The exit code is 1 where the loot of an attack that must succeed buys nothing, or that of one that
must be blocked buys a call.

With --keep FILE the result can be used again: where the environment variable KEYLADDER_EXPOSURE
names the file, ` + "`stages readme`" + ` takes it from there, as long as no file of the source has changed.
Where KEYLADDER_MATRIX names a file of ` + "`stages matrix --keep`" + `, attacks that were blocked there are not
carried out again: they have no loot.

With --json, in the order in which they are measured:

  [{"stage", "theft", "calls", "seconds", "check"}]

calls is -1 where there is no number. seconds is 0 where no call is served, and where nothing
ended it. check is what refused the first call, or the one after the last; empty: nothing did.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return runExposure(c, catalog.All(), slugs, thefts, jobs, asJSON, keep)
		},
	}
	c.Flags().StringArrayVar(&slugs, "stage", nil, "a stage to steal at (repeatable; default: all that are built)")
	c.Flags().StringArrayVar(&thefts, "theft", nil, "a theft to carry out (repeatable; default: all)")
	completingFlags(c, map[string]func() []string{"stage": stageNames, "theft": theftNames})
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	c.Flags().StringVar(&keep, "keep", "", "keep the result in this file, too")
	c.Flags().IntVar(&jobs, "jobs", runtime.NumCPU(), "how many labs at a time")
	return c
}

func theftNames() (names []string) {
	for _, theft := range exposure.Thefts() {
		names = append(names, theft.Name)
	}
	return names
}

func runExposure(c *cobra.Command, stages catalog.Set, slugs, thefts []string, jobs int, asJSON bool, keep string) error {
	for _, slug := range slugs {
		if _, err := builtStage(slug); err != nil {
			return err
		}
	}
	for _, name := range thefts {
		if _, ok := exposure.LookupTheft(name); !ok {
			return fmt.Errorf("there is no theft %q%s", name, program.DidYouMean(name, theftNames()))
		}
	}
	known, err := lab.Kept[manage.Matrix](lab.MatrixKeptIn)
	if err != nil && !errors.Is(err, lab.ErrNotKept) {
		return err
	}
	table, err := lab.KeepMeasured(keep, func() (exposure.Table, error) {
		return measuring.Measure(c.Context(), measuring.Options{
			Stages: stages, Slugs: slugs, Thefts: thefts, Jobs: jobs, Known: known, Progress: exposureProgress(c.ErrOrStderr()),
		})
	})
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(c.OutOrStdout(), table)
	} else {
		err = printExposure(c.OutOrStdout(), stages, table)
	}
	if err != nil {
		return err
	}
	return table.Check(stages)
}

func exposureProgress(out io.Writer) func(done, total int, latest exposure.Cell) {
	return func(done, total int, latest exposure.Cell) {
		fmt.Fprintf(out, "[%d/%d] %s at %s: %s\n", done, total, latest.Theft, latest.Stage, latest.Words())
	}
}

// printExposure prints the stages and thefts that the table has.
func printExposure(out io.Writer, stages catalog.Set, table exposure.Table) error {
	rows := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(rows, "theft")
	var shown catalog.Set
	for _, stage := range stages {
		if table.HasStage(stage.Slug) {
			shown = append(shown, stage)
			fmt.Fprintf(rows, "\t%d", stage.Number)
		}
	}
	fmt.Fprintln(rows)
	for _, theft := range exposure.Thefts() {
		if !table.HasTheft(theft.Name) {
			continue
		}
		fmt.Fprint(rows, theft.Name)
		for _, stage := range shown {
			fmt.Fprintf(rows, "\t%s", exposureCell(table, stage, theft))
		}
		fmt.Fprintln(rows)
	}
	return rows.Flush()
}

func exposureCell(table exposure.Table, stage catalog.Stage, theft exposure.Theft) string {
	cell, ok := table.At(stage.Slug, theft.Name)
	switch {
	case ok:
		return cell.Short()
	case !stage.Built:
		return "-"
	case theft.Applies(stage):
		return "?"
	}
	return "·"
}

// measuredExposure is the whole table, from where it is kept or measured now.
func measuredExposure(c *cobra.Command, stages catalog.Set, known manage.Matrix) (exposure.Table, error) {
	table, err := lab.Kept[exposure.Table](lab.ExposureKeptIn)
	if errors.Is(err, lab.ErrNotKept) {
		table, err = measuring.Measure(c.Context(), measuring.Options{
			Stages: stages, Jobs: runtime.NumCPU(), Known: known, Progress: exposureProgress(c.ErrOrStderr()),
		})
	}
	if err != nil {
		return nil, err
	}
	return table, table.Check(stages)
}
