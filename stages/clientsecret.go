package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
)

func clientSecretCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "client-secret CLIENT",
		Short: "Print the secret of a client of the authorization server: workshop-web",
		Long: `Print the secret of a client of the authorization server, such as workshop-web, which is there
for programs of your own. It is asked for at the running deployment, with the admin's certificate.`,
		Args: exactly(1, "a client's ID, such as workshop-web"),
		RunE: func(c *cobra.Command, args []string) error {
			folder, err := deployment.Open(dir, deployment.Admin)
			if err != nil {
				return err
			}
			server, err := manage.NewClient(folder, deployment.Auth)
			if err != nil {
				return err
			}
			secret, err := manage.Get[manage.Secret](c.Context(), server, "/keys/"+url.PathEscape(args[0])+"/secret")
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), secret.Secret)
			return err
		},
	}
	dataFlag(c, &dir)
	return c
}
