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

	"keyladder/internal/manage"
)

// KeptIn is the environment variable with the name of a file in which a matrix is kept.
// Anyone who needs the whole matrix, such as its test and the check of README.md, takes it from
// there, so that one run of all checks measures it once.
const KeptIn = "KEYLADDER_MATRIX"

var (
	// ErrNotKept means that [KeptIn] names no file: the matrix has to be measured.
	ErrNotKept = errors.New(KeptIn + " names no file with a matrix")
	// ErrOtherSource means that the source is not what the matrix was measured with.
	ErrOtherSource = errors.New("the source has changed since the matrix was measured")
)

// kept is what such a file holds.
type kept struct {
	Source string        `json:"source"` // see [Source]
	Matrix manage.Matrix `json:"matrix"`
}

// Keep writes the matrix that was measured with that source, if it still is the source.
func Keep(file, source string, matrix manage.Matrix) error {
	if now, err := Source(); err != nil {
		return err
	} else if now != source {
		return fmt.Errorf("keep the matrix: %w", ErrOtherSource)
	}
	data, err := json.Marshal(kept{Source: source, Matrix: matrix})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("keep the matrix: %w", err)
	}
	return nil
}

// Kept is the matrix in the file that [KeptIn] names. One that was measured with another
// source is refused. Its errors are [ErrNotKept] and [ErrOtherSource], beside those of
// reading it.
func Kept() (manage.Matrix, error) {
	file := os.Getenv(KeptIn)
	if file == "" {
		return manage.Matrix{}, ErrNotKept
	}
	source, err := Source()
	if err != nil {
		return manage.Matrix{}, err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return manage.Matrix{}, fmt.Errorf("read the matrix that %s names: %w", KeptIn, err)
	}
	var found kept
	if err := json.Unmarshal(data, &found); err != nil {
		return manage.Matrix{}, fmt.Errorf("read the matrix in %s: %w", file, err)
	}
	if found.Source != source {
		return manage.Matrix{}, fmt.Errorf("read the matrix in %s: %w: measure it anew, with `stages matrix --keep`", file, ErrOtherSource)
	}
	return found.Matrix, nil
}

// Source is a hash of everything that programs are made from: the source that the working
// directory is in, and the version of Go. It leaves out README.md, which the matrix is
// written into.
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
		case !entry.Type().IsRegular(), inRoot && name != "go.mod" && name != "go.sum":
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
