package deployment_test

import (
	"slices"
	"strings"
	"testing"

	"keyladder/internal/deployment"
)

func TestTable(t *testing.T) {
	t.Parallel()
	before := map[deployment.Role]bool{}
	names, ports := map[deployment.ServiceName]bool{}, map[int]bool{}
	for _, program := range deployment.Programs() {
		for _, needed := range program.Needs {
			if !before[needed] {
				t.Errorf("%s needs %s, which does not come before it", program.Role, needed)
			}
		}
		before[program.Role] = true
		if program.Title == "" || len(program.Command) == 0 || len(program.Services) == 0 {
			t.Errorf("%s is not complete: %+v", program.Role, program)
		}
		for _, service := range program.Services {
			if names[service.Name] || ports[service.Port] {
				t.Errorf("%s or its port %d is there twice", service.Name, service.Port)
			}
			names[service.Name], ports[service.Port] = true, true
			if management := service.Protocol == deployment.Management; management != (service.Name == deployment.Manage(program.Role)) {
				t.Errorf("%s speaks %s", service.Name, service.Protocol)
			}
			if service.What == "" {
				t.Errorf("%s is not explained", service.Name)
			}
		}
	}
}

func TestChoosePorts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		environment map[string]string
		given       map[string]int
		admin       int
		problem     string
	}{
		{name: "usual", admin: 8000},
		{name: "environment", environment: map[string]string{"KEYLADDER_PORT_ADMIN": "18000"}, admin: 18000},
		{name: "given", given: map[string]int{"admin": 18001}, admin: 18001},
		{name: "given against the environment", environment: map[string]string{"KEYLADDER_PORT_ADMIN": "18000"}, given: map[string]int{"admin": 18001}, admin: 18001},
		{name: "dashes", environment: map[string]string{"KEYLADDER_PORT_API_PLAIN": "8000", "KEYLADDER_PORT_ADMIN": "8080"}, admin: 8080},
		{name: "no number", environment: map[string]string{"KEYLADDER_PORT_ADMIN": "eighty"}, problem: "KEYLADDER_PORT_ADMIN=eighty"},
		{name: "too high", given: map[string]int{"admin": 65536}, problem: "from 1 to 65535"},
		{name: "unknown", given: map[string]int{"nothing": 1}, problem: `no service "nothing": they are auth`},
		{name: "twice", given: map[string]int{"admin": 8443}, problem: "admin and api can't both have port 8443"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ports, err := deployment.ChoosePorts(test.given, func(name string) string { return test.environment[name] })
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Errorf("error %v, want %q", err, test.problem)
				}
				return
			}
			if err != nil || ports[deployment.AdminUI] != test.admin {
				t.Errorf("admin at %d, %v", ports[deployment.AdminUI], err)
			}
		})
	}
}

// The programs that decide about calls are those that clients call.
func TestServers(t *testing.T) {
	t.Parallel()
	servers := deployment.Servers()
	if !slices.Contains(servers, deployment.Resource) || slices.Contains(servers, deployment.Phone) || slices.Contains(servers, deployment.Attacker) {
		t.Errorf("servers: %v", servers)
	}
}

// With and without containers, clients are told the same addresses; only the routes to them differ.
func TestPublicAddressesAreTheSameInContainers(t *testing.T) {
	t.Parallel()
	ports, err := deployment.ChoosePorts(map[string]int{"api": 18443}, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	local, containers := deployment.Local(ports), deployment.InContainers(ports)
	for _, service := range deployment.Services() {
		if local.URL(service.Name) != containers.URL(service.Name) {
			t.Errorf("%s: %s and %s", service.Name, local.URL(service.Name), containers.URL(service.Name))
		}
	}
	if got := local.URL(deployment.API); got != "https://localhost:18443" {
		t.Errorf("the API is at %s", got)
	}
	if got := containers.Routes().To("localhost:18443"); got != "resource.public:8443" {
		t.Errorf("in containers, it leads to %s", got)
	}
	if got := containers.Listen(deployment.TerminatedAPI); got != "resource.inside:8446" {
		t.Errorf("the listener for terminators is at %s", got)
	}
	if got := local.Listen(deployment.API); got != "localhost:18443" || len(local.Routes()) > 0 {
		t.Errorf("without containers, it listens at %s, with routes %v", got, local.Routes())
	}
}
