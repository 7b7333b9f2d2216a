//go:build !linux

package device

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
)

// image is a package as it is started: the file itself. There is no starting what was
// measured here, only what is found under the same path a moment later.
type image struct {
	path   string
	sha256 string // in hex
}

const whereProgramsRun = "the file system of the device's folder run programs"

func newImage(_, path string) (*image, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return nil, err
	}
	return &image{path: path, sha256: hex.EncodeToString(hash.Sum(nil))}, nil
}

// prepare has a command start the file.
func (i *image) prepare(cmd *exec.Cmd, _ string) error {
	cmd.Path = i.path
	return nil
}

func (*image) close() {}
