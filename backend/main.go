// Command backend runs one of Keyladder's servers: one role per process.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"keyladder/backend/authserver"
	"keyladder/backend/mediator"
	"keyladder/backend/rates"
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
	roles := slices.Sorted(maps.Keys(makers))
	for _, role := range roles {
		root.AddCommand(serverCommand(data, role, makers[role]))
	}
	root.AddCommand(program.HealthCommand(data, roles...))
	return root
}

// server is a server that a role runs, and maker makes it out of the role's folder.
type (
	server struct {
		serve func(context.Context, program.Listeners) error
		close func() error
	}
	maker func(*deployment.Folder, deployment.Settings, *traffic.Log) (server, error)
)

// makers make the servers.
var makers = map[deployment.Role]maker{
	deployment.Auth:     newProvider(catalog.AuthServer, deployment.AuthServer),
	deployment.Lite:     newProvider(catalog.LiteServer, deployment.LiteServer),
	deployment.Resource: newResource,
	deployment.Mediator: newMediator,
	deployment.Rates:    newRates,
}

// serverCommand runs the program of a role until it is told to end.
func serverCommand(data *string, role deployment.Role, make maker) *cobra.Command {
	row, _ := deployment.Of(role)
	cmd := &cobra.Command{Use: string(role), Short: row.Title, Args: cobra.NoArgs}
	places := program.PlacesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		folder, err := places.Open(*data, role)
		if err != nil {
			return err
		}
		settings, err := folder.Settings()
		if err != nil {
			return err
		}
		server, err := make(folder, settings, traffic.New(string(role), settings.TrafficRecords))
		if err != nil {
			return err
		}
		defer server.close()
		listeners, err := program.Listen(role, folder.Addresses)
		if err != nil {
			return err
		}
		defer listeners.Close()
		listeners.Log()
		return server.serve(cmd.Context(), listeners)
	}
	return cmd
}

func newResource(folder *deployment.Folder, settings deployment.Settings, log *traffic.Log) (server, error) {
	s, err := resource.New(resource.Config{Folder: folder, Stages: catalog.All(), Log: log}.With(settings))
	if err != nil {
		return server{}, err
	}
	return server{func(ctx context.Context, l program.Listeners) error {
		return s.Serve(ctx, resource.Listeners{
			Plain: l[deployment.PlainAPI], TLS: l[deployment.API], Terminated: l[deployment.TerminatedAPI],
			Inside: l[deployment.InsideAPI], Manage: l[deployment.Manage(folder.Role)],
		})
	}, s.Close}, nil
}

// newProvider makes an authorization server that is one of the providers.
func newProvider(issuer catalog.Issuer, service deployment.ServiceName) func(*deployment.Folder, deployment.Settings, *traffic.Log) (server, error) {
	return func(folder *deployment.Folder, settings deployment.Settings, log *traffic.Log) (server, error) {
		s, err := authserver.New(authserver.Config{Folder: folder, Issuer: issuer, Stages: catalog.All(), Log: log}.With(settings))
		if err != nil {
			return server{}, err
		}
		return server{func(ctx context.Context, l program.Listeners) error {
			return s.Serve(ctx, authserver.Listeners{TLS: l[service], Manage: l[deployment.Manage(folder.Role)]})
		}, s.Close}, nil
	}
}

func newMediator(folder *deployment.Folder, settings deployment.Settings, log *traffic.Log) (server, error) {
	s, err := mediator.New(mediator.Config{Folder: folder, Stages: catalog.All(), Log: log}.With(settings))
	if err != nil {
		return server{}, err
	}
	return server{func(ctx context.Context, l program.Listeners) error {
		return s.Serve(ctx, mediator.Listeners{TLS: l[deployment.MediatorService], Terminated: l[deployment.TerminatedMediator], Manage: l[deployment.Manage(folder.Role)]})
	}, s.Close}, nil
}

func newRates(folder *deployment.Folder, settings deployment.Settings, log *traffic.Log) (server, error) {
	s, err := rates.New(rates.Config{Folder: folder, Log: log}.With(settings))
	if err != nil {
		return server{}, err
	}
	return server{func(ctx context.Context, l program.Listeners) error {
		return s.Serve(ctx, rates.Listeners{TLS: l[deployment.RatesAPI], Manage: l[deployment.Manage(folder.Role)]})
	}, s.Close}, nil
}
