package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

func releaseCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "release",
		Short: "Pack and sign the apps anew, with the keys and secrets that are valid now",
		Long: `Pack and sign the apps anew, with the keys and secrets that are valid now.

A key or a secret that is rotated shuts out every installed app, as each carries the old
one. This puts packages with the new one into the store; phones get it when they update the app.
Interrupted, it leaves old packages and new ones, all of them whole: run it again.
They are asked for at the running deployment, with the admin's certificate.`,
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
			auth, err := manage.NewClient(folder, deployment.Auth)
			if err != nil {
				return err
			}
			valid, err := deploy.Valid(c.Context(), resource, auth)
			if err != nil {
				return err
			}
			names, err := deploy.Release(c.Context(), dir, catalog.All(), valid)
			if err != nil {
				return err
			}
			for _, name := range names {
				fmt.Fprintln(c.OutOrStdout(), "packed", name)
			}
			return nil
		},
	}
	dataFlag(c, &dir)
	return c
}
