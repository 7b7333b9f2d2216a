package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"keyladder/stages/catalog/exposure"
)

// The environment variables with the name of a file in which a matrix, or what thefts buy, is kept.
// Anyone who needs all of it, such as tests and the check of README.md, takes it from there, so that
// one run of all checks measures it once.
const (
	MatrixKeptIn   = "KEYLADDER_MATRIX"
	ExposureKeptIn = "KEYLADDER_EXPOSURE"
)

var (
	// ErrNotKept means that the variable names no file: it has to be measured.
	ErrNotKept = errors.New("no file is named in which it is kept")
	// ErrOtherSource means that the source is not what it was measured with.
	ErrOtherSource = errors.New("the source has changed since it was measured")
)

// kept is what such a file holds.
type kept[T any] struct {
	Source   string `json:"source"` // see [Source]
	Measured T      `json:"measured"`
}

// KeepMeasured measures something, and keeps it in the file; empty: it does not.
func KeepMeasured[T any](file string, measure func() (T, error)) (measured T, err error) {
	source := ""
	if file != "" {
		if source, err = Source(); err != nil { // before it is measured
			return measured, err
		}
	}
	if measured, err = measure(); err != nil || file == "" {
		return measured, err
	}
	return measured, Keep(file, source, measured)
}

// Keep writes what was measured with that source, if it still is the source.
func Keep[T any](file, source string, measured T) error {
	if now, err := Source(); err != nil {
		return err
	} else if now != source {
		return fmt.Errorf("keep what was measured: %w", ErrOtherSource)
	}
	data, err := json.Marshal(kept[T]{Source: source, Measured: measured})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("keep what was measured: %w", err)
	}
	return nil
}

// Kept is what was measured, from the file that the environment variable names. A file that was measured
// with another source is refused. Its errors are [ErrNotKept] and [ErrOtherSource], beside those of reading
// it.
func Kept[T any](variable string) (measured T, err error) {
	file := os.Getenv(variable)
	if file == "" {
		return measured, fmt.Errorf("%s: %w", variable, ErrNotKept)
	}
	source, err := Source()
	if err != nil {
		return measured, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return measured, fmt.Errorf("read what %s names: %w", variable, err)
	}
	var found kept[T]
	if err := json.Unmarshal(data, &found); err != nil {
		return measured, fmt.Errorf("read what was measured, in %s: %w", file, err)
	}
	if found.Source != source {
		return measured, fmt.Errorf("read what was measured, in %s: %w: measure it anew, with `--keep`", file, ErrOtherSource)
	}
	return found.Measured, nil
}

// Source is a hash of everything that programs are made from: the source that the working
// directory is in, and the version of Go. It leaves out what measurements are written into.
func Source() (string, error) {
	root, err := sourceFolder()
	if err != nil {
		return "", err
	}
	all := sha256.New()
	fmt.Fprintln(all, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		inRoot := filepath.Dir(name) == "." && name != "."
		switch {
		case entry.IsDir() && inRoot && (name == "data" || strings.HasPrefix(name, ".")):
			return fs.SkipDir
		case !entry.Type().IsRegular(), filepath.ToSlash(name) == exposure.File, inRoot && name != "go.mod" && name != "go.sum":
			return nil
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		one := sha256.New()
		if _, err := io.Copy(one, file); err != nil {
			return err
		}
		fmt.Fprintf(all, "%x %q\n", one.Sum(nil), filepath.ToSlash(name))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the source: %w", err)
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// sourceFolder is the one with go.mod that the working directory is in.
func sourceFolder() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside Keyladder's source folder", here)
		}
	}
}
