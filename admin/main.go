package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"keyladder/admin/programs"
	"keyladder/admin/server"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/program"
	"keyladder/internal/serve"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/referee"
)

func main() {
	password, err := program.TakeSecret("ADMIN_PASSWORD")
	if err == nil {
		err = command(password).ExecuteContext(serve.UntilSignal())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}

// command is the command line; the password is the admin's, empty where none was given.
func command(password string) *cobra.Command {
	var data string
	root := &cobra.Command{
		Use:           "admin",
		Version:       program.Version(),
		Short:         "Serve the admin UI of a Keyladder deployment",
		Long:          "Serve the admin UI of a Keyladder deployment.\n\nADMIN_PASSWORD in the environment sets the admin's password, also later.\nWithout it, the first start makes one and prints it once.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&data, "data", "data", "folder of the deployment, as \"stages init\" made it")
	places := program.PlacesFlag(root)
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		folder, err := places.Open(data, deployment.Admin)
		if err != nil {
			return err
		}
		return run(cmd.Context(), cmd.OutOrStdout(), folder, password)
	}
	root.AddCommand(program.HealthCommand(&data, deployment.Admin))
	return root
}

func run(ctx context.Context, out io.Writer, folder *deployment.Folder, password string) (err error) {
	settings, err := folder.Settings()
	if err != nil {
		return err
	}
	clients, err := manage.NewClients(folder)
	if err != nil {
		return err
	}
	stages := catalog.All()
	// Before the first password is made: it is printed once, and only if this succeeds.
	listeners, err := program.Listen(folder.Role, folder.Addresses)
	if err != nil {
		return err
	}
	defer listeners.Close()
	ui, err := server.New(server.Config{
		Folder:   folder,
		Stages:   stages,
		Programs: programs.Of(clients),
		Referee:  referee.New(stages, clients),
		Settings: settings,
		Password: password,
		PhoneURL: folder.Addresses.URL(deployment.PhoneScreen),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ui.Close()) }()
	fmt.Fprintf(out, "Admin UI: %s\n", folder.Addresses.URL(deployment.AdminUI))
	if password := ui.InitialPassword(); password != "" {
		fmt.Fprintf(out, "Its password was made just now and is not shown again: %s\n", password)
	}
	return ui.Serve(ctx, listeners[deployment.AdminUI])
}
