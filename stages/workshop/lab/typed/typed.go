// Package typed types commands as a person does who reads them in a page, and is for tests.
package typed

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Command is what is typed.
type Command struct {
	Line   string
	Beside bool // it goes on in a second terminal, until the others have been typed
}

// Result is what came of a command.
type Result struct {
	Output []byte
	Exit   int // code; -1: it did not end
}

// All types the commands into one shell in a folder, as its functions and variables have to last, and
// returns what came of each. Parts of a printed command that have to be something else here are replaced.
func All(t testing.TB, dir string, env []string, commands []Command, replace *strings.Replacer) []Result {
	t.Helper()
	notes := t.TempDir()
	note := func(i int, what string) string { return filepath.Join(notes, strconv.Itoa(i)+what) }
	var script strings.Builder
	script.WriteString("set -o pipefail\nbeside=()\ntrap 'kill ${beside[@]} && wait' EXIT\n")
	for i, c := range commands {
		if c.Beside {
			fmt.Fprintf(&script, "{ exec %[1]s\n} >'%[2]s' 2>&1 &\nbeside+=($!)\n"+
				"until grep -q listening '%[2]s' || ! kill -0 $! 2>/dev/null; do sleep 0.02; done\necho 0 >'%[3]s'\n",
				replace.Replace(c.Line), note(i, ".out"), note(i, ".exit"))
			continue
		}
		fmt.Fprintf(&script, "{ %s\n} >'%s' 2>&1\necho $? >'%s'\n", replace.Replace(c.Line), note(i, ".out"), note(i, ".exit"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script.String())
	shell.Dir, shell.Env = dir, env
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Logf("the shell: %v\n%s", err, output) // what is missing fails below
	}
	results := make([]Result, len(commands))
	for i := range commands {
		results[i].Exit = -1
		results[i].Output, _ = os.ReadFile(note(i, ".out"))
		if exit, err := os.ReadFile(note(i, ".exit")); err == nil {
			results[i].Exit, _ = strconv.Atoi(strings.TrimSpace(string(exit)))
		}
	}
	return results
}
