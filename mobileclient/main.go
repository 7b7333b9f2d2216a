// Command mobileclient is the simulated phone: its command line, its screen in the
// browser, and the station that attacks are carried out from.
//
//	mobileclient --stage tls accounts      use the app from the command line
//	mobileclient --stage user-session sign-in --user alice
//	mobileclient serve                     serve the phone's screen and its management API
//	mobileclient attacker                  serve the attacker's station
//	mobileclient healthcheck               ask a running one whether it can do its work
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/phone"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/scene"
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

// records is how many traffic records a program keeps.
const records = 4096

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "mobileclient",
		Short: "The simulated phone with the Harbour Bank app",
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
	root.AddCommand(serveCommand(data), attackerCommand(data), healthCommand(data))
	use.flags(root.PersistentFlags())
	return root
}

// open opens a role's folder, or says how to make it.
func open(data string, role deployment.Role) (*deployment.Folder, error) {
	folder, err := deployment.Open(data, role)
	if errors.Is(err, deployment.ErrMissing) {
		return nil, fmt.Errorf("%w\n`go run ./stages init` makes a deployment in ./data, `go run ./stages up` makes and runs one; --data names another folder", err)
	}
	return folder, err
}

func serveCommand(data *string) *cobra.Command {
	var screen, management, admin string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the phone's screen and its management API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			folder, err := open(*data, deployment.Phone)
			if err != nil {
				return err
			}
			stage, err := cmd.Flags().GetString("stage")
			if err != nil {
				return err
			}
			p, err := phone.New(phone.Config{
				Folder: folder, Stages: catalog.All(), Log: traffic.New(string(deployment.Phone), records), Stage: stage,
				AdminURL: admin,
			})
			if err != nil {
				return err
			}
			var listeners phone.Listeners
			for _, l := range []struct {
				into          *net.Listener
				what, address string
			}{
				{&listeners.Screen, "the phone's screen", screen},
				{&listeners.Manage, "management", management},
			} {
				if *l.into, err = net.Listen("tcp", l.address); err != nil {
					return fmt.Errorf("listen for %s: %w", l.what, err)
				}
				defer (*l.into).Close()
				slog.Info("listening", "for", l.what, "address", (*l.into).Addr().String())
			}
			return p.Serve(cmd.Context(), listeners)
		},
	}
	cmd.Flags().StringVar(&screen, "listen", "127.0.0.1:8090", "address of the screen")
	cmd.Flags().StringVar(&management, "manage", "127.0.0.1:9444", "address of the management API")
	cmd.Flags().StringVar(&admin, "admin", "http://localhost:8000", "where a browser finds the admin UI")
	return cmd
}

func attackerCommand(data *string) *cobra.Command {
	var management string
	cmd := &cobra.Command{
		Use:   "attacker",
		Short: "Serve the station that attacks are carried out from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := open(*data, deployment.Attacker)
			if err != nil {
				return err
			}
			station, err := scene.New(folder, catalog.All(), traffic.New(string(deployment.Attacker), records))
			if err != nil {
				return err
			}
			listener, err := net.Listen("tcp", management)
			if err != nil {
				return fmt.Errorf("listen for management: %w", err)
			}
			slog.Info("listening", "for", "management", "address", listener.Addr().String())
			return station.Serve(cmd.Context(), listener)
		},
	}
	cmd.Flags().StringVar(&management, "manage", "127.0.0.1:9445", "address of the management API")
	return cmd
}

// healthCommand asks a program on this machine how it is, with its own certificate.
func healthCommand(data *string) *cobra.Command {
	var role, address string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running phone, or attacker, whether it can do its work",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := open(*data, deployment.Role(role))
			if err != nil {
				return err
			}
			if address != "" {
				folder.Addresses.Manage = map[deployment.Role]string{folder.Role: "https://" + address}
			}
			client, err := manage.NewClient(folder, folder.Role)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			return client.Healthy(ctx)
		},
	}
	cmd.Flags().StringVar(&role, "role", string(deployment.Phone), "phone or attacker")
	cmd.Flags().StringVar(&address, "manage", "", "address of its management API (default: as the deployment says)")
	return cmd
}
