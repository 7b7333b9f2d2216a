//go:build !linux

package device

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"

	"keyladder/mobileclient/release"
)

// image is a package as it is installed and started: the file itself. There is no starting what was
// measured here, only what is found under the same path a moment later.
type image struct{ *release.Package }

const whereProgramsRun = "the file system of the device's folder run programs"

func newImage(path string) (*image, error) {
	p, err := release.Open(path)
	if err != nil {
		return nil, err
	}
	return &image{Package: p}, nil
}

// take copies a package into dir, and is the image of the copy. No process may be started meanwhile: it
// would inherit the open file for a moment, and the system refuses to run a file that somebody has open
// for writing (ETXTBSY).
func take(dir, path string) (i *image, staged string, err error) {
	in, err := release.File(path)
	if err != nil {
		return nil, "", err
	}
	defer in.Close()
	staged, err = stage(dir, in)
	if err != nil {
		return nil, "", err
	}
	if i, err = newImage(staged); err != nil {
		return nil, "", errors.Join(err, os.Remove(staged))
	}
	return i, staged, nil
}

func stage(dir string, in *os.File) (string, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.CreateTemp(dir, ".*.partial")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o500), out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), nil
}

// again measures the file anew.
func (i *image) again() (*image, error) { return newImage(i.Path) }

// prepare has a command start the file.
func (i *image) prepare(cmd *exec.Cmd, _ string) error {
	cmd.Path = i.Path
	return nil
}

func (*image) close() {}
