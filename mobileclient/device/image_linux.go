package device

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// image is a package as it is started: a copy in memory, measured when nobody could change
// it any more. So what the device has measured is what runs, and what the app reads its
// assets from. The package file may be another by then.
type image struct {
	path   string
	sha256 string // in hex
	file   *os.File
}

const whereProgramsRun = "the kernel run programs out of memory (see the sysctl vm.memfd_noexec)"

func newImage(name, path string) (*image, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3, which has all of them executable
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	i := &image{path: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), file: os.NewFile(uintptr(fd), name)}
	if i.sha256, err = i.fill(file); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}

// fill makes the copy, seals it, and then measures it. A package has 10 MB, so it is the kernel that
// makes the copy.
func (i *image) fill(from *os.File) (string, error) {
	size := int64(0)
	for {
		n, err := unix.Sendfile(int(i.file.Fd()), int(from.Fd()), nil, 1<<30)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return "", os.NewSyscallError("sendfile", err)
		}
		if n == 0 {
			break
		}
		size += int64(n)
	}
	if _, err := unix.FcntlInt(i.file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
		return "", os.NewSyscallError("fcntl", err)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(i.file, 0, size)); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// prepare has a command start the copy. The process that is started has it under the next
// number, and finds it there: it may not look into this one. The kernel names a process
// after the file that it was started by, so that is a link with the app's name.
func (i *image) prepare(cmd *exec.Cmd, dir string) error {
	cmd.ExtraFiles = append(cmd.ExtraFiles, i.file)
	target := fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.ExtraFiles))
	cmd.Path = filepath.Join(dir, i.file.Name())
	if now, err := os.Readlink(cmd.Path); err == nil && now == target {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Symlink(target, cmd.Path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// close is called when the app has been started, which keeps the copy as long as it runs.
func (i *image) close() { i.file.Close() }
