package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
)

func accessLogCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "access-log",
		Short: "Print the latest lines of the running API's access log",
		Long: `Print the latest lines of the running API's access log. They are asked for with the
admin's certificate; whoever finds such a log in a backup needs none.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			folder, err := deployment.Open(dir, deployment.Admin)
			if err != nil {
				return err
			}
			resource, err := manage.NewClient(folder, deployment.Resource)
			if err != nil {
				return err
			}
			lines, err := resource.AccessLog(c.Context())
			if err != nil {
				return err
			}
			for _, line := range lines {
				if _, err := fmt.Fprintln(c.OutOrStdout(), line); err != nil {
					return err
				}
			}
			return nil
		},
	}
	dataFlag(c, &dir)
	return c
}
