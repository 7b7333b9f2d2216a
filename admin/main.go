package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"keyladder/admin/web"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/referee"
)

func main() {
	if err := command().ExecuteContext(serve.UntilSignal()); err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var data, listen, phone string
	root := &cobra.Command{
		Use:           "admin",
		Short:         "Serve the admin UI of a Keyladder deployment",
		Long:          "Serve the admin UI of a Keyladder deployment.\n\nADMIN_PASSWORD in the environment sets the admin's password, also later.\nWithout it, the first start makes one and prints it once.",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), cmd.OutOrStdout(), data, listen, phone)
		},
	}
	root.Flags().StringVar(&data, "data", "data", "folder of the deployment, as \"stages init\" made it")
	root.Flags().StringVar(&listen, "listen", "127.0.0.1:8000", "address to listen on")
	root.Flags().StringVar(&phone, "phone", "http://localhost:8090", "where a browser finds the phone's screen")

	var address string
	health := &cobra.Command{
		Use:   "healthcheck",
		Short: "Exit with 0 when the admin UI on this machine can do its work",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return healthcheck(cmd.Context(), address) },
	}
	health.Flags().StringVar(&address, "url", "http://127.0.0.1:8000/healthz", "what to ask")
	root.AddCommand(health)
	return root
}

func run(ctx context.Context, out io.Writer, data, listen, phoneURL string) (err error) {
	folder, err := deployment.Open(data, deployment.Admin)
	if err != nil {
		return err
	}
	clients := map[deployment.Role]*manage.Client{}
	for _, role := range []deployment.Role{deployment.Resource, deployment.Phone, deployment.Attacker} {
		if clients[role], err = manage.NewClient(folder, role); err != nil {
			return err
		}
	}
	stages := catalog.All()
	// Before the first password is made: it is printed once, and only if this succeeds.
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return fmt.Errorf("can't listen on %s; is the admin UI running already, or another program there? --listen takes another address: %w", listen, err)
	}
	defer listener.Close()
	server, err := web.New(web.Config{
		Folder:   folder,
		Stages:   stages,
		Resource: clients[deployment.Resource],
		Phone:    clients[deployment.Phone],
		Station:  clients[deployment.Attacker],
		Referee:  referee.New(stages, clients[deployment.Resource], clients[deployment.Attacker]),
		Password: os.Getenv("ADMIN_PASSWORD"),
		PhoneURL: phoneURL,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	fmt.Fprintf(out, "Admin UI: http://%s\n", listener.Addr())
	if password := server.InitialPassword(); password != "" {
		fmt.Fprintf(out, "Its password was made just now and is not shown again: %s\n", password)
	}
	return server.Serve(ctx, listener)
}

func healthcheck(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
