package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"keyladder/attestsvc/server"
	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

func main() {
	if err := command().ExecuteContext(serve.UntilSignal()); err != nil {
		fmt.Fprintln(os.Stderr, "attestsvc:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "attestsvc",
		Version:       program.Version(),
		Short:         "Serve the attestation service of a Keyladder deployment",
		Args:          cobra.NoArgs,
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
	places := program.PlacesFlag(root)
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		folder, err := places.Open(*data, deployment.Attestation)
		if err != nil {
			return err
		}
		return run(cmd.Context(), folder)
	}
	root.AddCommand(program.HealthCommand(data, deployment.Attestation))
	return root
}

// run serves until ctx ends.
func run(ctx context.Context, folder *deployment.Folder) error {
	settings, err := folder.Settings()
	if err != nil {
		return err
	}
	log := traffic.New(string(folder.Role), settings.TrafficRecords)
	service, err := server.New(server.Config{Folder: folder, Stages: catalog.All(), Log: log}.With(settings))
	if err != nil {
		return err
	}
	defer service.Close()
	listeners, err := program.Listen(folder.Role, folder.Addresses)
	if err != nil {
		return err
	}
	defer listeners.Close()
	listeners.Log()
	return service.Serve(ctx, server.Listeners{TLS: listeners[deployment.AttestationService], Manage: listeners[deployment.Manage(folder.Role)]})
}
