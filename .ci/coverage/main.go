// Coverage tells how much of the bank's app was run, by package, from what its processes
// wrote (see mobileclient/app/covered.go). It fails when they wrote nothing.
//
//	go run ./.ci/coverage FOLDER
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: coverage FOLDER")
		os.Exit(2)
	}
	if err := tell(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "coverage:", err)
		os.Exit(1)
	}
}

func tell(folder string) error {
	sorted, err := os.MkdirTemp("", "keyladder-coverage-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(sorted)
	files, err := filepath.Glob(filepath.Join(folder, "app-*"))
	if err != nil {
		return err
	}
	told := 0
	for i, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if len(data) == 0 { // the process was killed
			continue
		}
		if err := sort(sorted, i, data); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		told++
	}
	if told == 0 {
		return fmt.Errorf("none of %d processes of the app told what it ran", len(files))
	}
	fmt.Printf("%d processes of the app\n", told)
	command := exec.Command("go", "tool", "covdata", "percent", "-i="+sorted)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}

// The description of a program begins with a header in which, behind magic number, version,
// length and number of packages, its hash has these bytes (internal/coverage of Go).
const hashBegin, hashEnd = 24, 40

// sort puts the two parts of what a process wrote where covdata looks for them.
func sort(folder string, number int, data []byte) error {
	if len(data) < 8 {
		return errors.New("is cut off")
	}
	length := binary.BigEndian.Uint64(data)
	if data = data[8:]; length < hashEnd || length >= uint64(len(data)) {
		return errors.New("is cut off")
	}
	program, counters := data[:length], data[length:]
	hash := program[hashBegin:hashEnd]
	return errors.Join(
		os.WriteFile(filepath.Join(folder, fmt.Sprintf("covmeta.%x", hash)), program, 0o600),
		os.WriteFile(filepath.Join(folder, fmt.Sprintf("covcounters.%x.%d.%d", hash, number+1, number+1)), counters, 0o600))
}
