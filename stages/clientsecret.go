package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

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
			secret, err := clientSecret(c.Context(), server, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), secret)
			return err
		},
	}
	dataFlag(c, &dir)
	return c
}

// clientSecret is the secret of a client of the authorization server. The error says where it is
// public, or there is none of that ID, and which clients have a secret.
func clientSecret(ctx context.Context, server manage.Doer, id string) (string, error) {
	clients, err := manage.Get[[]manage.App](ctx, server, "/apps")
	if err != nil {
		return "", err
	}
	var having []string
	for _, client := range clients {
		if !client.Public {
			having = append(having, client.ID)
		}
	}
	what := "the authorization server has no client " + id
	if i := slices.IndexFunc(clients, func(client manage.App) bool { return client.ID == id }); i >= 0 {
		if !clients[i].Public {
			secret, err := manage.Get[manage.Secret](ctx, server, "/keys/"+url.PathEscape(id)+"/secret")
			if err != nil {
				return "", fmt.Errorf("%s: %w", id, err)
			}
			return secret.Secret, nil
		}
		what = id + " is a public client and has no secret"
	}
	return "", fmt.Errorf("%s; these have one: %s", what, strings.Join(having, ", "))
}
