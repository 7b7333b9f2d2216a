// Command backend runs one of Keyladder's servers: one role per process.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/program"
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
		Version:       program.Version(),
		Short:         "Keyladder's servers, one role per process",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	data := root.PersistentFlags().String("data", "data", "folder of the deployment, as \"stages init\" made it")
	debug := root.PersistentFlags().Bool("debug", false, "log more, such as TLS handshakes that fail")
	root.PersistentPreRun = func(*cobra.Command, []string) {
		program.CollectLess()
		level := slog.LevelInfo
		if *debug {
			level = slog.LevelDebug
		}
		slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	}
	root.AddCommand(resourceCommand(data), program.HealthCommand(data, deployment.Resource))
	return root
}

func resourceCommand(data *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resource",
		Short: "The resource server: Harbour Bank's API",
		Args:  cobra.NoArgs,
	}
	places := program.PlacesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		folder, err := places.Open(*data, deployment.Resource)
		if err != nil {
			return err
		}
		settings, err := folder.Settings()
		if err != nil {
			return err
		}
		server, err := resource.New(resource.Config{
			Folder: folder, Stages: catalog.All(), Log: traffic.New(string(folder.Role), settings.TrafficRecords),
		}.With(settings))
		if err != nil {
			return err
		}
		defer server.Close()
		listeners, err := program.Listen(folder.Role, folder.Addresses)
		if err != nil {
			return err
		}
		defer listeners.Close()
		listeners.Log()
		return server.Serve(cmd.Context(), resource.Listeners{
			Plain: listeners[deployment.PlainAPI], TLS: listeners[deployment.API], Terminated: listeners[deployment.TerminatedAPI],
			Manage: listeners[deployment.Manage(folder.Role)],
		})
	}
	return cmd
}
