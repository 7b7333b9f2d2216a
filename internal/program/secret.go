package program

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxSecret bounds what is passed on, in bytes: it has to fit into a pipe that nobody reads yet.
const maxSecret = 16 << 10

// TakeSecret takes a variable out of the environment and returns its value. It is the first
// thing that a program does. To unset the variable would not be enough: on Linux everybody
// who may look into a process, its own children among them, finds in /proc what the
// environment was when it began. So the program starts itself anew, as the same process,
// without the variable, and leaves itself the value in a pipe.
func TakeSecret(name string) (string, error) {
	pipe := name + "_PIPE"
	if number := os.Getenv(pipe); number != "" {
		fd, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return "", fmt.Errorf("take %s: %w", name, err)
		}
		if err := os.Unsetenv(pipe); err != nil {
			return "", fmt.Errorf("take %s: %w", name, err)
		}
		file := os.NewFile(uintptr(fd), name)
		value, err := io.ReadAll(io.LimitReader(file, maxSecret))
		if err := errors.Join(err, file.Close()); err != nil {
			return "", fmt.Errorf("take %s: %w", name, err)
		}
		return string(value), nil
	}
	value := os.Getenv(name)
	if value == "" {
		return "", nil
	}
	if len(value) > maxSecret {
		return "", fmt.Errorf("%s has more than %d bytes", name, maxSecret)
	}
	if err := startAnew(name, pipe, value); err != nil {
		return "", fmt.Errorf("take %s out of the environment: %w", name, err)
	}
	return value, nil // where a program can't start itself anew
}

// without is the environment without a variable.
func without(environ []string, name string) []string {
	var kept []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, name+"=") {
			kept = append(kept, entry)
		}
	}
	return kept
}
