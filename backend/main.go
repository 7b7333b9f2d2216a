// Command backend runs one of Keyladder's servers: one role per process.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

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
	root.AddCommand(
		serverCommand(data, deployment.Auth, "The authorization server", newProvider(catalog.AuthServer, deployment.AuthServer)),
		serverCommand(data, deployment.Lite, "Another company's authorization server, with a weaker policy", newProvider(catalog.LiteServer, deployment.LiteServer)),
		serverCommand(data, deployment.Resource, "The resource server: Harbour Bank's API", newResource),
		serverCommand(data, deployment.Mediator, "The mediator: adds the client secret to requests for tokens", newMediator),
		serverCommand(data, deployment.Rates, "A third party's rates API", newRates),
		program.HealthCommand(data, deployment.Resource, deployment.Auth, deployment.Lite, deployment.Mediator, deployment.Rates),
	)
	return root
}

// server is a server that a role runs.
type server struct {
	serve func(context.Context, program.Listeners) error
	close func() error
}

// serverCommand runs the program of a role, out of its folder, until it is told to end.
func serverCommand(data *string, role deployment.Role, short string, make func(*deployment.Folder, deployment.Settings, *traffic.Log) (server, error)) *cobra.Command {
	cmd := &cobra.Command{Use: string(role), Short: short, Args: cobra.NoArgs}
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
