// Command mobileclient is the simulated phone: its command line, and its screen in the
// browser.
//
//	mobileclient --stage tls accounts      use the app from the command line
//	mobileclient --stage user-session sign-in --user alice
//	mobileclient serve                     serve the phone's screen and its management API
//	mobileclient pair                      a link that pairs a browser with that screen
//	mobileclient healthcheck               ask a running one whether it can do its work
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/program"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/phone"
	"keyladder/stages/catalog"
)

func main() { os.Exit(run()) }

// run is main with an exit code, for the tests.
func run() int {
	if err := command().ExecuteContext(serve.UntilSignal()); err != nil {
		var refused *refusedError
		if errors.As(err, &refused) {
			fmt.Fprintln(os.Stderr, refused)
		} else {
			fmt.Fprintln(os.Stderr, "mobileclient:", err)
		}
		return 1
	}
	return 0
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:     "mobileclient",
		Version: program.Version(),
		Short:   "The simulated phone with the Harbour Bank app",
		Long: `The simulated phone with the Harbour Bank app.

rates, accounts, transfers, transfer, sign-in, sign-out and freeze use the app once, on a
phone that the command line has for itself, against the running deployment. serve keeps
a phone running, with its screen in the browser.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	data := root.PersistentFlags().String("data", "data", "folder of the deployment, as \"stages init\" made it")
	use := &appUse{data: data}
	root.AddCommand(use.commands()...)
	root.AddCommand(serveCommand(data), pairCommand(data), program.HealthCommand(data, deployment.Phone))
	use.flags(root.PersistentFlags())
	if err := root.RegisterFlagCompletionFunc("stage", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return strings.Split(catalog.All().Built().Slugs(), ", "), cobra.ShellCompDirectiveNoFileComp
	}); err != nil {
		panic(err) // no such flag
	}
	return root
}

func serveCommand(data *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the phone's screen and its management API",
		Args:  cobra.NoArgs,
	}
	places := program.PlacesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		folder, err := places.Open(*data, deployment.Phone)
		if err != nil {
			return err
		}
		stage, err := cmd.Flags().GetString("stage")
		if err != nil {
			return err
		}
		settings, err := folder.Settings()
		if err != nil {
			return err
		}
		p, err := phone.New(phone.Config{
			Folder: folder, Stages: catalog.All(), Log: traffic.New(string(folder.Role), settings.TrafficRecords), Stage: stage,
			AdminURL: folder.Addresses.URL(deployment.AdminUI),
		})
		if err != nil {
			return err
		}
		listeners, err := program.Listen(folder.Role, folder.Addresses)
		if err != nil {
			return err
		}
		defer listeners.Close()
		listeners.Log()
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), "Pair a browser with the phone, once:", p.PairingLink()); err != nil {
			return err
		}
		return p.Serve(cmd.Context(), phone.Listeners{
			Screen: listeners[deployment.PhoneScreen], Manage: listeners[deployment.Manage(folder.Role)],
		})
	}
	return cmd
}

// pairCommand asks the running phone for a link, with the phone's own certificate.
func pairCommand(data *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pair",
		Short: "Print a link that pairs a browser with the running phone's screen",
		Long: `Print a link that pairs a browser with the running phone's screen.

The link is good once, for ten minutes. Anyone who uses the screen can install programs, so it
is for browsers only that somebody with the phone's folder, or the admin, has let in.`,
		Args: cobra.NoArgs,
	}
	places := program.PlacesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		folder, err := places.Open(*data, deployment.Phone)
		if err != nil {
			return err
		}
		client, err := manage.NewClient(folder, deployment.Phone)
		if err != nil {
			return err
		}
		pairing, err := manage.Post[manage.Pairing](cmd.Context(), client, manage.PairingPath, nil)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), phone.LinkOf(folder, pairing.Code))
		return err
	}
	return cmd
}
