package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyladder/internal/manage"
	"keyladder/internal/program"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/referee"
)

func listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the stages",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return printJSON(c.OutOrStdout(), catalog.All())
			}
			table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			for i, title := range catalog.Chapters() {
				fmt.Fprintf(table, "Chapter %d: %s\n", i+1, title)
				for _, stage := range catalog.All() {
					if stage.Chapter != i+1 {
						continue
					}
					note := ""
					if !stage.Built {
						note = "(not built yet)"
					}
					fmt.Fprintf(table, "  %d\t%s\t%s\t%s\n", stage.Number, stage.Slug, stage.Title, note)
				}
			}
			return table.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print them as JSON, with their policies")
	return c
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

const listHint = "\"stages list\" lists the stages"

// exactly takes that many arguments, and otherwise says what they are.
func exactly(n int, hint string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("usage: %s; %s", strings.TrimSuffix(c.UseLine(), " [flags]"), hint)
		}
		return nil
	}
}

func showCommand(stages catalog.Set) *cobra.Command {
	return &cobra.Command{
		Use:   "show STAGE",
		Short: "Show a stage: what it adds, its policy, its attacks and its narrative",
		Args:  exactly(1, listHint),

		ValidArgsFunction: completing(stageNames),
		RunE: func(c *cobra.Command, args []string) error {
			stage, ok := stages.Lookup(args[0])
			if !ok {
				_, err := builtStage(args[0])
				return err
			}
			return show(c.OutOrStdout(), stages, stage)
		},
	}
}

func show(out io.Writer, stages catalog.Set, stage catalog.Stage) error {
	fmt.Fprintf(out, "Stage %d, %s: %s\n%s\n", stage.Number, stage.Slug, stage.Title, stage.Adds)
	if !stage.Built {
		fmt.Fprintln(out, "\nThis stage is not built yet.")
	} else {
		before, _ := stages.Before(stage)
		fmt.Fprintln(out, "\nPolicy, compared with the stage before:")
		for _, d := range before.Diff(stage.Policies) {
			from := d.From.Words
			if !d.From.Decided {
				from = "–"
			}
			fmt.Fprintf(out, "  %s: %s → %s\n", d.To.Title, from, d.To.Words)
		}
	}
	fmt.Fprintln(out, "\nAttacks, and what they must achieve here:")
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, attack := range catalog.Attacks() {
		outcome := attack.Expected(stage)
		if outcome == catalog.NotApplicable {
			continue
		}
		by := ""
		if check := attack.BlockedBy(stage); check != "" {
			by = "by " + string(check)
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\t(%s)\n", attack.Name, outcome, by, attack.Position)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if narrative := stage.Narrative(); narrative != "" {
		fmt.Fprintf(out, "\n%s\n", strings.TrimSpace(narrative))
	}
	return nil
}

func runCommand() *cobra.Command {
	var asJSON bool
	var with []string
	c := &cobra.Command{
		Use:   "run STAGE",
		Short: "Run the genuine app at a stage, in a fresh lab, and print the messages",
		Args:  exactly(1, listHint),

		ValidArgsFunction: completing(stageNames),
		RunE: func(c *cobra.Command, args []string) error {
			stage, err := builtStage(args[0])
			if err != nil {
				return err
			}
			stages, err := vary(stage, with)
			if err != nil {
				return err
			}
			l, err := lab.Start(c.Context(), lab.Options{Stages: stages})
			if err != nil {
				return err
			}
			defer l.Close()
			genuine := l.Referee.Genuine(c.Context(), stage.Slug)
			if err := c.Context().Err(); err != nil {
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), genuine)
			} else {
				err = printTraffic(c, l)
			}
			if err != nil {
				return err
			}
			if !genuine.OK {
				return fmt.Errorf("the genuine app does not work at %s: %s", stage.Slug, genuine.Reason)
			}
			if !asJSON {
				fmt.Fprintf(c.OutOrStdout(), "The genuine app works at %s: rates, accounts and a transfer that the ledger has.\n", stage.Slug)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print what came of it as JSON, without the messages")
	c.Flags().StringArrayVar(&with, "with", nil, "decide a `FIELD=VALUE` of the stage's policies otherwise: call.bodies=sealed-portions")
	return c
}

func attackCommand(stages catalog.Set) *cobra.Command {
	var messages, asJSON bool
	var with []string
	c := &cobra.Command{
		Use:   "attack STAGE ATTACK",
		Short: "Carry out an attack at a stage, in a fresh lab: steps, evidence, outcome",
		Long: `Carry out an attack at a stage, in a fresh lab: steps, evidence, outcome.

The exit code is 1 when the outcome is not the one that the catalog has. With --with the lab
has the stage in a variation of yours, for example with the session key in the app's memory
only; then the catalog has no say in it:

  go run ./stages attack user-session backup-theft
  go run ./stages attack user-session backup-theft --with call.user_key=memory`,
		Args: exactly(2, listHint+"; \"stages show STAGE\" lists its attacks"),

		ValidArgsFunction: completing(stageNames, attackNames),
		RunE: func(c *cobra.Command, args []string) error {
			stage, err := builtStage(args[0])
			if err != nil {
				return err
			}
			attack, ok := catalog.LookupAttack(args[1])
			if !ok {
				return fmt.Errorf("there is no attack %q: `stages show %s` lists those of the stage%s", args[1], stage.Slug, program.DidYouMean(args[1], attackNames()))
			}
			if attack.Expected(stage) == catalog.NotApplicable {
				return fmt.Errorf("the attack %s does not apply to the stage %s", attack.Name, stage.Slug)
			}
			stages, err := varied(stages, stage.Slug, with)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if asJSON {
				out = io.Discard
			}
			fmt.Fprintf(out, "%s at %s\n%s\nPosition: %s\nGoal: %s\n\n", attack.Name, stage.Slug, attack.Summary, attack.Position, attack.Goal)
			l, err := lab.Start(c.Context(), lab.Options{Stages: stages})
			if err != nil {
				return err
			}
			defer l.Close()
			cell := l.Referee.Attack(c.Context(), stage.Slug, attack.Name)
			if err := c.Context().Err(); err != nil {
				return err // what was cut short says nothing about the stage
			}
			if messages {
				if err := printTraffic(c, l); err != nil {
					return err
				}
			}
			printCell(out, cell)
			unexpected := referee.Expected(stages, cell)
			if len(with) > 0 && !asJSON {
				_, err := fmt.Fprintf(out, "This is with %s. At the stage as it is: %s.\n", strings.Join(with, " and "), attack.Expected(stage))
				return err
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), struct {
					manage.Cell
					AsExpected bool `json:"as_expected"`
				}{cell, unexpected == nil})
				if len(with) > 0 {
					unexpected = nil // nobody said what to expect
				}
			} else if unexpected == nil {
				_, err = fmt.Fprintln(out, "This is as expected.")
			}
			return errors.Join(err, unexpected)
		},
	}
	c.Flags().BoolVar(&messages, "messages", false, "also print the messages")
	c.Flags().BoolVar(&asJSON, "json", false, "print the outcome as JSON, with whether it is as expected")
	c.MarkFlagsMutuallyExclusive("messages", "json")
	c.Flags().StringArrayVar(&with, "with", nil, "decide a field of the stage's policies anew, as `FIELD=VALUE`: call.user_key=memory (repeatable; `stages list --json` has the fields)")
	return c
}

// varied is the stages with some fields of one stage's policies decided anew: FIELD=VALUE.
func varied(stages catalog.Set, slug string, changes []string) (catalog.Set, error) {
	for _, change := range changes {
		field, value, ok := strings.Cut(change, "=")
		if !ok {
			return nil, fmt.Errorf("--with %s: not FIELD=VALUE", change)
		}
		var err error
		stages = stages.With(slug, func(p *catalog.Policies) { err = p.Decide(field, value) })
		if err != nil {
			return nil, fmt.Errorf("--with %s: %w", change, err)
		}
	}
	stage, _ := stages.Lookup(slug)
	if wrong := stage.Contradictions(); len(wrong) > 0 {
		return nil, fmt.Errorf("--with: the stage %s contradicts itself: %s", slug, strings.Join(wrong, ", "))
	}
	return stages, nil
}

func printCell(out io.Writer, cell manage.Cell) {
	for i, step := range cell.Steps {
		fmt.Fprintf(out, "  %d. %s\n", i+1, step)
	}
	fmt.Fprintf(out, "\nOutcome: %s", cell.Outcome)
	if cell.Check != "" {
		fmt.Fprintf(out, " by %s", cell.Check)
	}
	fmt.Fprintf(out, " (%s)\n", cell.Reason)
	for _, evidence := range cell.Evidence {
		fmt.Fprintf(out, "  - %s\n", evidence)
	}
}
