package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"keyladder/internal/manage"
	"keyladder/stages/workshop/lab"
)

func hijacksCommand() *cobra.Command {
	var times int
	var asJSON bool
	c := &cobra.Command{
		Use:   "hijacks",
		Short: "Count how often a stolen code is good, with each of what can be switched on against that without PKCE",
		Long: `Count how often a stolen code is good in the hands of its thief, at the stage at which codes are
bound to nothing: with nothing switched on at the authorization server, and with each defence
alone, for a thief who uses the code at once and for one who waits until the victim has tried
again. Each try is the attack code-relay, in a lab that is thrown away.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := lab.Start(c.Context(), lab.Options{})
			if err != nil {
				return err
			}
			defer l.Close()
			rounds, err := l.Referee.Hijacks(c.Context(), times, func(done, total int, latest manage.HijackMeasurement) {
				fmt.Fprintf(c.ErrOrStderr(), "[%d/%d] %s\n", done, total, latest)
			})
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(rounds)
			}
			return writeHijacks(c.OutOrStdout(), rounds)
		},
	}
	c.Flags().IntVar(&times, "times", 5, "how often each is tried")
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

func writeHijacks(w io.Writer, rounds []manage.HijackMeasurement) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "switched on\tthe thief\ttries\trobbed\tblocked\tunclear\tby")
	for _, r := range rounds {
		thief := "is quick"
		if r.LateBySeconds > 0 {
			thief = fmt.Sprintf("waits %d s", r.LateBySeconds)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%s\n", r.On, thief, r.Tries, r.Robbed, r.Blocked, r.Unclear, r.Check)
	}
	return table.Flush()
}
