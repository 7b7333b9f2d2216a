// Package program is what the commands of all programs share: where they listen, and how a
// health check asks them.
package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
)

// Listeners are open listeners, by service.
type Listeners map[deployment.ServiceName]net.Listener

// Close closes all.
func (l Listeners) Close() {
	for _, listener := range l {
		listener.Close()
	}
}

// Ports are the listeners' ports.
func (l Listeners) Ports() deployment.Ports {
	ports := deployment.Ports{}
	for name, listener := range l {
		ports[name] = serve.Port(listener)
	}
	return ports
}

// Listen opens the listeners of a program where the deployment has them.
func Listen(role deployment.Role, addresses deployment.Addresses) (Listeners, error) {
	program, ok := deployment.Of(role)
	if !ok {
		return nil, fmt.Errorf("no program has the role %q", role)
	}
	listeners := Listeners{}
	for _, service := range program.Services {
		address := addresses.Listen(service.Name)
		if address == "" {
			listeners.Close()
			return nil, fmt.Errorf("the deployment has no address for %s: --listen %s=HOST:PORT gives one", service.What, service.Name)
		}
		listener, err := Open(service, address)
		if err != nil {
			listeners.Close()
			return nil, err
		}
		listeners[service.Name] = listener
	}
	return listeners, nil
}

// Open listens for a service.
func Open(service deployment.Service, address string) (net.Listener, error) {
	listener, err := serve.Listen(address)
	if err != nil {
		return nil, fmt.Errorf("%s can't listen on %s; is Keyladder running already, or another program there? %w\n%s=PORT in the environment moves it to another port",
			service.What, address, err, deployment.PortVariable(service.Name))
	}
	return listener, nil
}

// Log says where a program listens.
func (l Listeners) Log() {
	for _, service := range deployment.Services() {
		if listener, ok := l[service.Name]; ok {
			slog.Info("listening", "for", service.What, "address", listener.Addr().String())
		}
	}
}

// Places are the addresses that a command line gives to services, in place of those that the
// deployment has.
type Places map[string]string

// PlacesFlag adds the flag --listen to a command.
func PlacesFlag(c *cobra.Command) *Places {
	var places Places
	c.Flags().StringToStringVar((*map[string]string)(&places), "listen", nil, "`SERVICE=HOST:PORT` to use in place of what the deployment says (repeatable)")
	return &places
}

// Open opens a role's folder, with its services at those places.
func (p *Places) Open(data string, role deployment.Role) (*deployment.Folder, error) {
	folder, err := deployment.Open(data, role)
	if errors.Is(err, deployment.ErrMissing) {
		return nil, fmt.Errorf("%w\n`go run ./stages init` makes a deployment in ./data, `go run ./stages up` makes and runs one; --data names another folder", err)
	}
	if err != nil {
		return nil, err
	}
	for name, address := range *p {
		service, err := deployment.ServiceNamed(deployment.ServiceName(name))
		if err != nil {
			return nil, err
		}
		folder.Addresses.Set(service, address)
	}
	return folder, nil
}

// HealthCommand asks a program on this machine, of one of the roles, whether it can do its
// work. Where none is given, the first is meant whose folder is here: a container has one.
func HealthCommand(data *string, roles ...deployment.Role) *cobra.Command {
	names := make([]string, len(roles))
	for i, role := range roles {
		names[i] = string(role)
	}
	c := &cobra.Command{
		Use:       "healthcheck",
		Short:     "Exit with 0 when the program that runs here can do its work",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: names,
	}
	if len(roles) > 1 {
		c.Use += " [" + strings.Join(names, " | ") + "]"
	}
	places := PlacesFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		role := roles[0]
		if len(args) > 0 {
			role = deployment.Role(args[0])
		}
		folder, err := places.Open(*data, role)
		for _, other := range roles {
			if len(args) > 0 || !errors.Is(err, deployment.ErrMissing) {
				break
			}
			folder, err = places.Open(*data, other)
		}
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
		defer cancel()
		return Healthy(ctx, folder)
	}
	return c
}

// Healthy is nil when the program of the folder's role can do its work: its management API
// says so, or /healthz of what it shows to browsers.
func Healthy(ctx context.Context, folder *deployment.Folder) error {
	program, ok := deployment.Of(folder.Role)
	if !ok {
		return fmt.Errorf("no program has the role %q", folder.Role)
	}
	if program.Has(deployment.Manage(folder.Role)) {
		client, err := manage.NewClient(folder, folder.Role)
		if err != nil {
			return err
		}
		return client.Healthy(ctx)
	}
	for _, service := range program.Services {
		if service.Protocol == deployment.Browser {
			return healthz(ctx, folder, folder.Addresses.URL(service.Name)+"/healthz")
		}
	}
	return fmt.Errorf("%s does not tell how it is", program.Title)
}

func healthz(ctx context.Context, folder *deployment.Folder, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DialContext: folder.Addresses.Routes().Dial(nil)}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
