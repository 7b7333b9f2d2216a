package main

import (
	"github.com/spf13/cobra"

	"keyladder/stages/catalog"
)

func stageNames() []string {
	var names []string
	for _, stage := range catalog.All() {
		names = append(names, stage.Slug)
	}
	return names
}

func attackNames() []string {
	var names []string
	for _, attack := range catalog.Attacks() {
		names = append(names, attack.Name)
	}
	return names
}

// completing has the shell complete arguments, each with names of its own.
func completing(lists ...func() []string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= len(lists) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return lists[len(args)](), cobra.ShellCompDirectiveNoFileComp
	}
}

// completingFlags has the shell complete the values of a command's flags, each with names of its
// own.
func completingFlags(c *cobra.Command, lists map[string]func() []string) {
	for flag, names := range lists {
		if err := c.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return names(), cobra.ShellCompDirectiveNoFileComp
		}); err != nil {
			panic(err) // no such flag
		}
	}
}
