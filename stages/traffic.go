package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"keyladder/admin/traffic/hello"
	"keyladder/internal/feed"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/workshop/lab"
)

// printTraffic prints what was recorded in the lab, in order of time. The keys in it
// are those of a lab that ends with the command.
func printTraffic(c *cobra.Command, l *lab.Lab) error {
	var messages []traffic.Message
	for _, program := range []*manage.Client{l.Resource, l.Station} {
		recorded, err := program.Traffic(c.Context(), feed.Cursor{})
		if err != nil {
			return err
		}
		if recorded.Cut > 0 {
			fmt.Fprintf(c.ErrOrStderr(), "%d older messages are not kept any more\n", recorded.Cut)
		}
		messages = append(messages, recorded.Entries...)
	}
	slices.SortStableFunc(messages, func(a, b traffic.Message) int { return cmp.Compare(a.At.UnixNano(), b.At.UnixNano()) })
	out := c.OutOrStdout()
	for _, m := range messages {
		fmt.Fprintf(out, "%s  %-7s  %s → %s  %s\n", m.At.Format("15:04:05.000"), m.Lane, m.From, m.To, m.Summary)
		if m.Lane == traffic.Network {
			if negotiated, ok := hello.Read(m.Body); ok && m.Kind == traffic.Bytes {
				fmt.Fprintf(out, "    %s\n", negotiated)
			}
			continue
		}
		for line := range strings.Lines(m.Head) {
			fmt.Fprintf(out, "    %s\n", strings.TrimRight(line, "\r\n"))
		}
		if len(m.Body) > 0 && utf8.Valid(m.Body) {
			fmt.Fprintf(out, "\n    %s\n", strings.ReplaceAll(strings.TrimSpace(string(m.Body)), "\n", "\n    "))
		}
		if m.Verdict != nil {
			decision := "allowed"
			if !m.Verdict.Allowed {
				decision = "refused by " + string(m.Verdict.Check)
			}
			fmt.Fprintf(out, "    [%s: %s]\n", decision, m.Verdict.Reason)
		}
		fmt.Fprintln(out)
	}
	return nil
}
