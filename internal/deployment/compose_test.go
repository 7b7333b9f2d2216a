package deployment_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"keyladder/internal/deployment"
)

// composeService is what is looked at of a service in docker-compose.yml.
type composeService struct {
	Command     []string
	Environment []string
	HealthCheck struct{ Test []string }
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Volumes     []string
	Ports       []string
	Networks    map[string]struct{ Aliases []string }
}

// The image has the folder of each role, and no other: a new volume takes its owner from there, and
// one without would be root's.
func TestImageHasTheFoldersOfAllRoles(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/data"}
	for _, role := range deployment.Roles() {
		want = append(want, "/data/"+string(role))
	}
	_, command, _ := strings.Cut(string(data), "\nRUN install -d ")
	command, _, _ = strings.Cut(strings.ReplaceAll(command, "\\\n", ""), "\n")
	got := slices.DeleteFunc(strings.Fields(command), func(word string) bool { return !strings.HasPrefix(word, "/") })
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Dockerfile: `install -d` makes other folders than the table of programs (-) has roles:\n%s", diff)
	}
}

// What docker-compose.yml runs is what the table of programs has: commands, ports, names in
// the networks, folders and the order of starting.
func TestComposeFile(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	type tools struct{ Profiles []string }
	var file struct{ Services map[string]yaml.Node }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var variables []string
	for _, service := range deployment.Services() {
		if service.Protocol.Public() {
			variables = append(variables, deployment.PortVariable(service.Name))
		}
	}
	slices.Sort(variables)
	for _, program := range deployment.Programs() {
		node := file.Services[string(program.Role)]
		var got composeService
		if err := node.Decode(&got); err != nil {
			t.Errorf("%s: %v", program.Role, err)
			continue
		}
		var given []string
		for _, variable := range got.Environment {
			if strings.HasPrefix(variable, "KEYLADDER_PORT_") {
				given = append(given, variable)
			}
		}
		slices.Sort(given)
		want := composeService{
			Command: program.Command, Environment: variables, DependsOn: map[string]struct{ Condition string }{
				"init": {"service_completed_successfully"},
			},
			Volumes:  []string{fmt.Sprintf("%[1]s:/data/%[1]s", program.Role)},
			Networks: map[string]struct{ Aliases []string }{},
		}
		got.Environment = given
		want.HealthCheck.Test = []string{"CMD", program.Command[0], "healthcheck"}
		for _, role := range program.Needs {
			want.DependsOn[string(role)] = struct{ Condition string }{"service_healthy"}
		}
		for _, loopback := range []string{"127.0.0.1", "${KEYLADDER_LOOPBACK6:-[::1]}"} {
			for _, service := range program.Services {
				if service.Protocol.Public() {
					want.Ports = append(want.Ports, fmt.Sprintf("%s:${%s:-%[3]d}:%[3]d", loopback, deployment.PortVariable(service.Name), service.Port))
				}
			}
		}
		for _, network := range []string{"public", "inside"} {
			want.Networks[network] = struct{ Aliases []string }{[]string{string(program.Role) + "." + network}}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: docker-compose.yml is not as the table of programs (-) has it:\n%s", program.Role, diff)
		}
		delete(file.Services, string(program.Role))
	}
	node := file.Services["init"]
	var first composeService
	if err := node.Decode(&first); err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, role := range deployment.Roles() {
		folders = append(folders, fmt.Sprintf("%[1]s:/data/%[1]s", role))
	}
	slices.Sort(folders)
	slices.Sort(first.Volumes)
	if diff := cmp.Diff(folders, first.Volumes); diff != "" {
		t.Errorf("init has other folders than the roles (-):\n%s", diff)
	}
	delete(file.Services, "init")
	for name, node := range file.Services {
		var tool tools
		if err := node.Decode(&tool); err != nil || !slices.Equal(tool.Profiles, []string{"tools"}) {
			t.Errorf("%s is no program of the table and no tool: %v %v", name, tool.Profiles, err)
		}
	}
}
