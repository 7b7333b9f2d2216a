// Command stages is the workshop runner: it sets up and starts Keyladder, lists and
// shows the stages, runs the genuine app and the attacks, and fills the matrix.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"keyladder/internal/program"
	"keyladder/internal/serve"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/lab"
)

func main() {
	adminPassword, err := program.TakeSecret("ADMIN_PASSWORD")
	if err == nil {
		err = command(adminPassword).ExecuteContext(serve.UntilSignal())
	}
	if cleanupErr := lab.Cleanup(); err == nil {
		err = cleanupErr
	}
	switch {
	case errors.Is(err, context.Canceled): // the error of a command that a signal stopped
		fmt.Fprintln(os.Stderr, "stages: interrupted")
		os.Exit(interrupted)
	case errors.Is(err, errTold):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "stages:", err)
		os.Exit(1)
	}
}

// interrupted is the exit code that shells give for a program that Ctrl-C has ended.
const interrupted = 130

// errTold means that the user has been told already what is wrong.
var errTold = errors.New("already told")

// command is the command line; the password is the admin's, empty where none was given.
func command(adminPassword string) *cobra.Command {
	root := &cobra.Command{
		Use:           "stages",
		Short:         "The workshop runner of Keyladder",
		Version:       program.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		initCommand(), upCommand(lab.Start, adminPassword), resetCommand(), attackerCommand(), healthCommand(), settingsCommand(),
		listCommand(), showCommand(catalog.All()), runCommand(), attackCommand(catalog.All()), matrixCommand(), exposureCommand(), hijacksCommand(), benchCommand(),
		signCommand(), openCommand(), tokenCommand(), clientSecretCommand(), packCommand(), lootCommand(), interceptCommand(), accessLogCommand(), releaseCommand(), trustCommand(),
		readmeCommand(), snippetsCommand(),
	)
	return root
}

func dataFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "data", "data", "folder of the deployment")
}
