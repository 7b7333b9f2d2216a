package main

import (
	"fmt"
	"net/url"

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
		Short: "Pack and sign the apps anew, with the secrets that their keys have now",
		Long: `Pack and sign the apps anew, with the secrets that their keys have now.

A secret that is rotated shuts out every installed app, as each carries the old one. This
puts packages with the new one into the store; phones get it when they update the app.
Interrupted, it leaves old packages and new ones, all of them whole: run it again.
The secrets are asked for at the running deployment, with the admin's certificate.`,
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
			secrets := map[string]string{}
			for _, id := range deploy.ClientIDs() {
				secret, err := manage.Get[manage.Secret](c.Context(), resource, "/keys/"+url.PathEscape(id)+"/secret")
				if err != nil {
					return fmt.Errorf("ask for the secret of %s: %w", id, err)
				}
				secrets[id] = secret.Secret
			}
			names, err := deploy.Release(c.Context(), dir, catalog.All(), secrets)
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
