// Command backend runs one of Keyladder's servers: one role per process.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"keyladder/backend/resource"
	"keyladder/backend/sessions"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

func main() {
	if err := command().ExecuteContext(serve.UntilSignal()); err != nil {
		fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "backend",
		Short:         "Keyladder's servers, one role per process",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	data := root.PersistentFlags().String("data", "data", "folder of the deployment, as \"stages init\" made it")
	debug := root.PersistentFlags().Bool("debug", false, "log more, such as TLS handshakes that fail")
	root.PersistentPreRun = func(*cobra.Command, []string) {
		level := slog.LevelInfo
		if *debug {
			level = slog.LevelDebug
		}
		slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	}
	root.AddCommand(resourceCommand(data), healthCommand(data))
	return root
}

// records is how many traffic records a server keeps.
const records = 4096

func resourceCommand(data *string) *cobra.Command {
	var plain, tls, terminated, management string
	lifetimes := sessions.Default
	cmd := &cobra.Command{
		Use:   "resource",
		Short: "The resource server: Harbour Bank's API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := deployment.Open(*data, deployment.Resource)
			if err != nil {
				return err
			}
			server, err := resource.New(resource.Config{
				Folder: folder, Stages: catalog.All(), Log: traffic.New(string(deployment.Resource), records),
				Sessions: lifetimes,
			})
			if err != nil {
				return err
			}
			defer server.Close()
			var listeners resource.Listeners
			for _, l := range []struct {
				into          *net.Listener
				what, address string
			}{
				{&listeners.Plain, "the API over HTTP", plain},
				{&listeners.TLS, "the API over TLS", tls},
				{&listeners.Terminated, "the API behind a TLS terminator", terminated},
				{&listeners.Manage, "management", management},
			} {
				if *l.into, err = net.Listen("tcp", l.address); err != nil {
					return fmt.Errorf("listen for %s: %w", l.what, err)
				}
				defer (*l.into).Close()
				slog.Info("listening", "for", l.what, "address", (*l.into).Addr().String())
			}
			return server.Serve(cmd.Context(), listeners)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&plain, "plain", "127.0.0.1:8080", "address of the API over HTTP")
	flags.StringVar(&tls, "tls", "127.0.0.1:8443", "address of the API over TLS")
	flags.StringVar(&terminated, "terminated", "127.0.0.1:8446", "address of the API behind a TLS terminator")
	flags.StringVar(&management, "manage", "127.0.0.1:9443", "address of the management API")
	flags.DurationVar(&lifetimes.Idle, "session-idle", lifetimes.Idle, "how long a user's session lasts without calls")
	flags.DurationVar(&lifetimes.Absolute, "session-lifetime", lifetimes.Absolute, "how long a user's session lasts at most")
	return cmd
}

// healthCommand asks a program on this machine how it is, with its own certificate.
func healthCommand(data *string) *cobra.Command {
	var role, address string
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running server whether it can do its work",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := deployment.Open(*data, deployment.Role(role))
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
	cmd.Flags().StringVar(&role, "role", string(deployment.Resource), "role of the server")
	cmd.Flags().StringVar(&address, "manage", "", "address of its management API (default: as the deployment says)")
	return cmd
}
