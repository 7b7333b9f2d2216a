package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/program"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/scene"
)

func initCommand() *cobra.Command {
	o := deploy.Options{Stages: catalog.All()}
	var moved map[string]int
	var containers bool
	c := &cobra.Command{
		Use:   "init",
		Short: "Make, once, the keys, certificates, secrets and app packages of a deployment",
		Long: `Make, once, the keys, certificates, secrets and app packages of a deployment.

A deployment that is there already is kept. When ports are others than before, it follows:
the apps are packed anew, with the API's new address and everything else as it was.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ports, err := deployment.ChoosePorts(moved, os.Getenv)
			if err != nil {
				return err
			}
			o.Addresses = deployment.Local(ports)
			if containers {
				o.Addresses = deployment.InContainers(ports)
			}
			done, err := deploy.Init(c.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), done, "the deployment in", o.Dir)
			return tellUnfit(c.OutOrStdout(), o.Dir)
		},
	}
	dataFlag(c, &o.Dir)
	portFlag(c, &moved)
	c.Flags().BoolVar(&containers, "containers", false, "each program has a container of its own, as in docker-compose.yml")
	return c
}

// firstAddresses are where the API is at the first stage over HTTP and at the first over TLS.
func firstAddresses(addresses deployment.Addresses) []string {
	var found []string
	for _, plain := range []bool{true, false} {
		service := deployment.API
		if plain {
			service = deployment.PlainAPI
		}
		for _, stage := range catalog.All().Built() {
			if (stage.Call.Transport == catalog.PlainHTTP) == plain {
				found = append(found, addresses.URL(service)+"/"+stage.Slug+"/v1/accounts")
				break
			}
		}
	}
	return found
}

// firstIssuer is where the first stage that has an authorization server says what that offers;
// empty: no stage has one.
func firstIssuer(addresses deployment.Addresses) string {
	for _, stage := range catalog.All().Built() {
		if stage.Auth.Issuer == catalog.AuthServer {
			return addresses.URL(deployment.AuthServer) + "/.well-known/oauth-authorization-server/" + stage.Slug
		}
	}
	return ""
}

// tellUnfit says which apps do not know how to call at their stages.
func tellUnfit(out io.Writer, dir string) error {
	unfit, err := deploy.Unfit(dir, catalog.All())
	if len(unfit) > 0 {
		fmt.Fprintf(out, "Shipped with other call policies than these stages have now: %s. Run `stages release`, and update the app on the phone.\n",
			strings.Join(unfit, ", "))
	}
	return err
}

// portFlag adds the flag that moves services to other ports.
func portFlag(c *cobra.Command, moved *map[string]int) {
	var usual []string
	for _, service := range deployment.Services() {
		usual = append(usual, fmt.Sprintf("%s=%d", service.Name, service.Port))
	}
	c.Flags().StringToIntVar(moved, "port", nil, "`SERVICE=PORT` to use in place of the usual one, as KEYLADDER_PORT_SERVICE=PORT does (repeatable); usual are "+strings.Join(usual, ", "))
}

func attackerCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "attacker",
		Short: "Serve the station that attacks are carried out from",
		Args:  cobra.NoArgs,
	}
	dataFlag(c, &dir)
	places := program.PlacesFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		folder, err := places.Open(dir, deployment.Attacker)
		if err != nil {
			return err
		}
		settings, err := folder.Settings()
		if err != nil {
			return err
		}
		station, err := scene.New(folder, catalog.All(), traffic.New(string(folder.Role), settings.TrafficRecords))
		if err != nil {
			return err
		}
		listeners, err := program.Listen(folder.Role, folder.Addresses)
		if err != nil {
			return err
		}
		defer listeners.Close()
		listeners.Log()
		return station.Serve(c.Context(), listeners[deployment.Manage(folder.Role)])
	}
	return c
}

// healthCommand asks any program of the deployment; without a name, the attacker, which is
// the one that this command serves.
func healthCommand() *cobra.Command {
	var dir string
	roles := []deployment.Role{deployment.Attacker}
	for _, row := range deployment.Programs() {
		if row.Role != deployment.Attacker {
			roles = append(roles, row.Role)
		}
	}
	c := program.HealthCommand(&dir, roles...)
	dataFlag(c, &dir)
	return c
}

func upCommand(start func(context.Context, lab.Options) (*lab.Lab, error), adminPassword string) *cobra.Command {
	o := lab.Options{Screens: true, AdminPassword: adminPassword}
	var verbose bool
	var moved map[string]int
	c := &cobra.Command{
		Use:   "up",
		Short: "Start everything in one process and say where to go",
		Long: `Start everything in one process and say where to go.

The environment variable STAGE sets the stage that the phone uses, ADMIN_PASSWORD the
password of the admin UI.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Stage == "" {
				o.Stage = os.Getenv("STAGE")
			}
			if o.Stage != "" {
				if _, err := builtStage(o.Stage); err != nil {
					return err
				}
			}
			var err error
			if o.Ports, err = deployment.ChoosePorts(moved, os.Getenv); err != nil {
				return err
			}
			if verbose {
				o.Logger = slog.Default()
			}
			begin := time.Now()
			if _, err := deployment.Open(o.Dir, deployment.Offline); errors.Is(err, deployment.ErrMissing) {
				fmt.Fprintln(c.OutOrStdout(), "First start: making keys and certificates and building the app …")
			}
			l, err := start(c.Context(), o)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			if l.Done == deploy.Moved {
				fmt.Fprintln(out, "Ports are others than at the last start: the apps were packed anew with the API's address.")
			}
			if err := tellUnfit(out, l.Dir); err != nil {
				return errors.Join(err, l.Close())
			}
			fmt.Fprintf(out, "Keyladder is up after %.1f s.\n\n", time.Since(begin).Seconds())
			fmt.Fprintf(out, "  Begin here      %s    stages, attacks, traffic, matrix, administration\n", l.Addresses.URL(deployment.AdminUI))
			fmt.Fprintf(out, "  The phone       %s    the Harbour Bank app; this link is good once\n", l.PhoneLink)
			fmt.Fprintf(out, "  The API         %s\n", strings.Join(firstAddresses(l.Addresses), "\n                  "))
			if issuer := firstIssuer(l.Addresses); issuer != "" {
				fmt.Fprintf(out, "  Authorization   %s\n", issuer)
			}
			fmt.Fprintln(out)
			switch {
			case l.InitialPassword != "":
				fmt.Fprintf(out, "  Sign in as admin with the password %s\n", l.InitialPassword)
				fmt.Fprintf(out, "  It is shown this once; ADMIN_PASSWORD=… sets another at the next start.\n\n")
			case o.AdminPassword != "":
				fmt.Fprintf(out, "  Sign in as admin with the password in ADMIN_PASSWORD.\n\n")
			default:
				fmt.Fprintf(out, "  Sign in as admin with the password shown at the first start; ADMIN_PASSWORD=… sets another.\n\n")
			}
			fmt.Fprintln(out, "Ctrl-C stops it.")
			err = l.Wait()
			return errors.Join(err, l.Close())
		},
	}
	dataFlag(c, &o.Dir)
	portFlag(c, &moved)
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "also print the API's access log; errors and warnings are printed in any case")
	c.Flags().StringVar(&o.Stage, "stage", "", "stage that the phone uses (default: $STAGE, or the first)")
	c.Flags().StringToStringVar(&o.Settings, "set", nil, "`NAME=VALUE` to use in place of what settings.json says, this time (repeatable); \"stages settings\" lists them")
	return c
}

func resetCommand() *cobra.Command {
	var dir string
	var yes bool
	c := &cobra.Command{
		Use:   "reset",
		Short: "Remove a deployment: its keys, packages, databases and the phone's state",
		Long: `Remove a deployment: its keys, packages, databases and the phone's state.
Stop its programs first. The next start makes a new one.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				fmt.Fprintln(c.OutOrStdout(), "there is no deployment in", dir)
				return nil
			}
			if !yes {
				fmt.Fprintf(c.OutOrStdout(), "Remove the deployment in %s, with everything that was booked and registered? [y/N] ", dir)
				answer, _ := bufio.NewReader(c.InOrStdin()).ReadString('\n')
				if !strings.EqualFold(strings.TrimSpace(answer), "y") {
					return errors.New("nothing was removed")
				}
			}
			if running(c.Context(), dir) {
				return fmt.Errorf("the deployment in %s is running: stop it first (Ctrl-C, or docker compose stop)", dir)
			}
			for _, role := range deployment.Roles() {
				if err := clearFolder(filepath.Join(dir, string(role))); err != nil {
					return fmt.Errorf("remove the deployment: %w", err)
				}
			}
			fmt.Fprintln(c.OutOrStdout(), "removed the deployment in", dir)
			return nil
		},
	}
	dataFlag(c, &dir)
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// running tells whether the API of a deployment answers.
func running(ctx context.Context, dir string) bool {
	folder, err := deployment.Open(dir, deployment.Admin)
	if err != nil {
		return false
	}
	client, err := manage.NewClient(folder, deployment.Resource)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return client.Healthy(ctx) == nil
}

// clearFolder empties a folder, which itself may be a mount point and stays.
func clearFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func builtStage(slug string) (catalog.Stage, error) {
	stage, ok := catalog.All().Lookup(slug)
	if !ok {
		return stage, fmt.Errorf("there is no stage %q: the stages are %s%s", slug, catalog.All().Slugs(), program.DidYouMean(slug, stageNames()))
	}
	if !stage.Built {
		return stage, fmt.Errorf("the stage %q is not built yet; these are: %s", slug, catalog.All().Built().Slugs())
	}
	return stage, nil
}
