package deploy

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Link makes a copy of a deployment in which nothing runs. The files are the same as in the
// original, but nobody writes into a file of a deployment: a new version takes its place. A
// program that did all the same would be found out by the file's hash when the next one opens
// the folder, or by the package's signature when somebody installs it. Databases are written
// into, so each copy has its own.
func Link(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		if filepath.Ext(name) != ".db" {
			return os.Link(path, filepath.Join(to, name))
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), data, 0o600)
	})
}
