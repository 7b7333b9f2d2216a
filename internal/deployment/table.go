package deployment

import (
	"fmt"
	"slices"
	"strings"
)

// Role names a program, and the sub-folder that holds what it needs.
type Role string

// The roles. Offline is for what no running program needs: the keys of the
// authorities, the developer's signing key and the backup key of the server.
const (
	Auth        Role = "auth"
	Lite        Role = "lite"
	Attestation Role = "attestsvc"
	Mediator    Role = "mediator"
	Rates       Role = "rates"
	Resource    Role = "resource"
	Phone       Role = "phone"
	Attacker    Role = "attacker"
	Admin       Role = "admin"
	Offline     Role = "offline"
)

// Protocol is what a service speaks, and so who can use it.
type Protocol string

// The protocols.
const (
	PlainHTTP  Protocol = "plain HTTP"     // for clients
	TLS        Protocol = "TLS"            // for clients
	Browser    Protocol = "a browser's"    // plain HTTP, for people on this machine
	Terminator Protocol = "a terminator's" // mutual TLS, for a TLS terminator that speaks for clients
	Behind     Protocol = "a gateway's"    // mutual TLS, for the gateway that has looked at the callers
	Management Protocol = "management"     // mutual TLS, among the programs
)

// Public is whether it is meant for others than the programs of the deployment.
func (p Protocol) Public() bool { return p == PlainHTTP || p == TLS || p == Browser }

func (p Protocol) scheme() string {
	if p == PlainHTTP || p == Browser {
		return "http"
	}
	return "https"
}

// ServiceName names a service, in settings and on the command line.
type ServiceName string

// The services that code asks for by name; [Manage] names the others.
const (
	AuthServer         ServiceName = "auth"
	LiteServer         ServiceName = "lite"
	AttestationService ServiceName = "attestsvc"
	MediatorService    ServiceName = "mediator"
	TerminatedMediator ServiceName = "mediator-terminated"
	RatesAPI           ServiceName = "rates"
	API                ServiceName = "api"
	PlainAPI           ServiceName = "api-plain"
	TerminatedAPI      ServiceName = "api-terminated"
	InsideAPI          ServiceName = "api-inside"
	PhoneScreen        ServiceName = "phone"
	AdminUI            ServiceName = "admin"
)

// Manage is the management API of a program.
func Manage(role Role) ServiceName { return ServiceName("manage-" + role) }

// Service is something that a program listens for.
type Service struct {
	Name     ServiceName
	Port     int // usually
	Protocol Protocol
	What     string // for people
}

// Program is a row of the table of programs.
type Program struct {
	Role     Role
	Title    string
	Command  []string // as a process of its own
	Needs    []Role   // programs that have to run before
	Services []Service
}

// programs is the table. A new program is a row here; `stages init` and `up`, the listeners,
// what the admin UI asks, health checks and the test of docker-compose.yml follow it.
var programs = []Program{
	{
		Role: Auth, Title: "The authorization server", Command: []string{"backend", "auth"},
		Services: []Service{
			{AuthServer, 8444, TLS, "the authorization server"},
			{Manage(Auth), 9446, Management, "the authorization server's management"},
		},
	},
	{
		Role: Lite, Title: "Another company's authorization server", Command: []string{"backend", "lite"},
		Services: []Service{
			{LiteServer, 8448, TLS, "another company's authorization server"},
			{Manage(Lite), 9449, Management, "the management of another company's authorization server"},
		},
	},
	{
		Role: Attestation, Title: "The attestation service", Command: []string{"attestsvc"}, Needs: []Role{Auth},
		Services: []Service{
			{AttestationService, 8445, TLS, "the attestation service"},
			{Manage(Attestation), 9447, Management, "the attestation service's management"},
		},
	},
	{
		Role: Mediator, Title: "The mediator", Command: []string{"backend", "mediator"}, Needs: []Role{Auth, Lite},
		Services: []Service{
			{MediatorService, 8447, TLS, "the authorization mediator, and the gateway in front of the API"},
			{TerminatedMediator, 8452, Terminator, "the mediator behind a TLS terminator"},
			{Manage(Mediator), 9448, Management, "the mediator's management"},
		},
	},
	{
		Role: Rates, Title: "The rates API of a third party", Command: []string{"backend", "rates"},
		Services: []Service{
			{RatesAPI, 8449, TLS, "the third party's rates API"},
			{Manage(Rates), 9450, Management, "the rates API's management"},
		},
	},
	{
		Role: Resource, Title: "The resource server", Command: []string{"backend", "resource"}, Needs: []Role{Auth, Lite},
		Services: []Service{
			{PlainAPI, 8080, PlainHTTP, "the API over HTTP"},
			{API, 8443, TLS, "the API over TLS"},
			{TerminatedAPI, 8446, Terminator, "the API behind a TLS terminator"},
			{InsideAPI, 8451, Behind, "the API behind the gateway"},
			{Manage(Resource), 9443, Management, "the resource server's management"},
		},
	},
	{
		Role: Phone, Title: "The phone", Command: []string{"mobileclient", "serve"}, Needs: []Role{Auth, Lite, Attestation, Mediator, Rates, Resource},
		Services: []Service{
			{PhoneScreen, 8090, Browser, "the phone's screen"},
			{Manage(Phone), 9444, Management, "the phone's management"},
		},
	},
	{
		Role: Attacker, Title: "The attacker's station", Command: []string{"stages", "attacker"}, Needs: []Role{Auth, Lite, Attestation, Mediator, Rates, Resource},
		Services: []Service{
			{Manage(Attacker), 9445, Management, "the attacker's management"},
		},
	},
	{
		Role: Admin, Title: "The admin UI", Command: []string{"admin"}, Needs: []Role{Auth, Lite, Attestation, Mediator, Rates, Resource, Phone, Attacker},
		Services: []Service{
			{AdminUI, 8000, Browser, "the admin UI"},
		},
	},
}

// Programs are the programs of a deployment; each comes after those that it needs.
func Programs() []Program { return slices.Clone(programs) }

// Managed are the programs with a management API.
func Managed() []Role {
	var roles []Role
	for _, program := range programs {
		if program.Has(Manage(program.Role)) {
			roles = append(roles, program.Role)
		}
	}
	return roles
}

// Servers are those of the programs with a management API that clients call: what they decide
// about calls is on record there.
func Servers() []Role {
	return slices.DeleteFunc(Managed(), func(role Role) bool {
		program, _ := Of(role)
		return !slices.ContainsFunc(program.Services, func(s Service) bool { return s.Protocol == PlainHTTP || s.Protocol == TLS })
	})
}

// Of is the program of a role.
func Of(role Role) (Program, bool) {
	i := slices.IndexFunc(programs, func(p Program) bool { return p.Role == role })
	if i < 0 {
		return Program{}, false
	}
	return programs[i], true
}

// Has is whether the program has the service.
func (p Program) Has(name ServiceName) bool {
	return slices.ContainsFunc(p.Services, func(s Service) bool { return s.Name == name })
}

// Services are the services of all programs.
func Services() []Service {
	var services []Service
	for _, program := range programs {
		services = append(services, program.Services...)
	}
	return services
}

// ServiceNamed finds a service.
func ServiceNamed(name ServiceName) (Service, error) {
	var names []string
	for _, service := range Services() {
		if service.Name == name {
			return service, nil
		}
		names = append(names, string(service.Name))
	}
	return Service{}, fmt.Errorf("there is no service %q: they are %s", name, strings.Join(names, ", "))
}

// Roles are all roles, in the order in which their folders are written: a deployment is
// complete when the folder of the last one, [Offline], is.
func Roles() []Role {
	var roles []Role
	for _, program := range programs {
		roles = append(roles, program.Role)
	}
	return append(roles, Offline)
}
