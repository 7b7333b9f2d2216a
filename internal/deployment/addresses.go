package deployment

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"keyladder/internal/route"
)

// Addresses are where the services of a deployment are.
type Addresses struct {
	// Public are URLs without a path, https://localhost:8443: what clients are told, sign
	// for and check, wherever they run.
	Public map[ServiceName]string `json:"public"`

	// Inside is where programs in containers listen and are found, as host:port. A service that
	// is not in it is at its public address.
	Inside map[ServiceName]string `json:"inside,omitempty"`
}

// URL is the public address of a service, without a path.
func (a Addresses) URL(name ServiceName) string { return a.Public[name] }

// Stage is where a stage is at a service. It is the issuer of the tokens that the service issues
// there.
func (a Addresses) Stage(name ServiceName, stage string) string { return a.URL(name) + "/" + stage }

// Listen is where the program of a service listens: host:port, or localhost:port for all
// addresses of the loopback interface.
func (a Addresses) Listen(name ServiceName) string {
	if inside, ok := a.Inside[name]; ok {
		return inside
	}
	return hostOf(a.Public[name])
}

// Routes lead from public addresses to where the services are.
func (a Addresses) Routes() route.Table {
	table := route.Table{}
	for name, inside := range a.Inside {
		table[hostOf(a.Public[name])] = inside
	}
	return table
}

// Roles are the programs at the public addresses that clients know, by host:port.
func (a Addresses) Roles() map[string]string {
	roles := map[string]string{}
	for _, program := range programs {
		for _, service := range program.Services {
			if host := hostOf(a.Public[service.Name]); host != "" && service.Protocol.Public() {
				roles[host] = string(program.Role)
			}
		}
	}
	return roles
}

// Set says that a service is at an address, host:port, and nowhere else.
func (a *Addresses) Set(service Service, address string) {
	a.Public, a.Inside = maps.Clone(a.Public), maps.Clone(a.Inside)
	if a.Public[service.Name] == "" {
		if a.Public == nil {
			a.Public = map[ServiceName]string{}
		}
		a.Public[service.Name] = service.Protocol.scheme() + "://" + address
		return
	}
	if a.Inside == nil {
		a.Inside = map[ServiceName]string{}
	}
	a.Inside[service.Name] = address
}

// Equal is whether both have every service at the same place.
func (a Addresses) Equal(b Addresses) bool {
	return maps.Equal(a.Public, b.Public) && maps.Equal(a.Inside, b.Inside)
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// Ports are the public ports of services.
type Ports map[ServiceName]int

// Local are the addresses of a deployment on this machine. Only services that have a port
// are there.
func Local(ports Ports) Addresses {
	a := Addresses{Public: map[ServiceName]string{}}
	for _, service := range Services() {
		if port, ok := ports[service.Name]; ok {
			a.Public[service.Name] = service.Protocol.scheme() + "://" + net.JoinHostPort("localhost", strconv.Itoa(port))
		}
	}
	return a
}

// InContainers are the addresses of a deployment whose programs have a container each, as in
// docker-compose.yml: each is found as ROLE.public by everybody and as ROLE.inside by the
// other programs, at its usual port, whatever port of this machine leads there.
func InContainers(ports Ports) Addresses {
	a := Local(ports)
	a.Inside = map[ServiceName]string{}
	for _, program := range programs {
		for _, service := range program.Services {
			network := ".inside"
			if service.Protocol.Public() {
				network = ".public"
			}
			a.Inside[service.Name] = net.JoinHostPort(string(program.Role)+network, strconv.Itoa(service.Port))
		}
	}
	return a
}

// PortVariable is the variable in the environment that moves a service to another port.
func PortVariable(name ServiceName) string {
	return "KEYLADDER_PORT_" + strings.ToUpper(strings.ReplaceAll(string(name), "-", "_"))
}

// ErrPort means that a service can't have the port that was asked for.
var ErrPort = errors.New("no such port")

// ChoosePorts are the usual ports, but for what the environment moves, and what is given
// moves again.
func ChoosePorts(given map[string]int, environment func(string) string) (Ports, error) {
	ports := Ports{}
	for _, service := range Services() {
		ports[service.Name] = service.Port
		variable := PortVariable(service.Name)
		if text := environment(variable); text != "" {
			port, err := strconv.Atoi(text)
			if err != nil || port < 1 || port > 65535 {
				return nil, fmt.Errorf("%s=%s: %w: give a number from 1 to 65535", variable, text, ErrPort)
			}
			ports[service.Name] = port
		}
	}
	for name, port := range given {
		if _, err := ServiceNamed(ServiceName(name)); err != nil {
			return nil, err
		}
		if port < 1 || port > 65535 {
			return nil, fmt.Errorf("%s=%d: %w: give a number from 1 to 65535", name, port, ErrPort)
		}
		ports[ServiceName(name)] = port
	}
	taken := map[int]ServiceName{}
	for _, name := range slices.Sorted(maps.Keys(ports)) {
		port := ports[name]
		if other, ok := taken[port]; ok {
			return nil, fmt.Errorf("%s and %s can't both have port %d: %w", other, name, port, ErrPort)
		}
		taken[port] = name
	}
	return ports, nil
}
