package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"

	"keyladder/mobileclient/release"
)

// image is a package as it is installed and started: a copy in memory, measured when nobody could
// change it any more. So what the device has measured is what runs, and what the app reads its assets
// from, however often it is started. The package file may be another by then.
type image struct {
	*release.Package
	file  *os.File
	bytes []byte // what is in it
}

const whereProgramsRun = "the kernel run programs out of memory (see the sysctl vm.memfd_noexec)"

// newImage makes the copy, seals it, and then verifies and measures it, with the errors of
// [release.Open].
func newImage(path string) (*image, error) {
	from, err := release.File(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("package", flags|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3, which has all of them executable
		fd, err = unix.MemfdCreate("package", flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	i := &image{file: os.NewFile(uintptr(fd), "package")}
	if err := i.fill(from); err != nil {
		i.close()
		return nil, err
	}
	if i.Package, err = release.Verify(i.bytes); err != nil {
		i.close()
		return nil, err
	}
	return i, nil
}

// fill makes the copy and seals it. A package has 10 MB, so it is the kernel that makes the copy.
func (i *image) fill(from *os.File) error {
	size := 0
	for {
		n, err := unix.Sendfile(int(i.file.Fd()), int(from.Fd()), nil, 1<<30)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("sendfile", err)
		}
		if n == 0 {
			break
		}
		size += n
	}
	if _, err := unix.FcntlInt(i.file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if size == 0 {
		return nil
	}
	var err error
	i.bytes, err = unix.Mmap(int(i.file.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	return os.NewSyscallError("mmap", err)
}

// take makes the image of a package, and a file in dir with the same content.
func take(dir, path string) (i *image, staged string, err error) {
	i, err = newImage(path)
	if err != nil {
		return nil, "", err
	}
	staged, err = i.write(dir)
	if err != nil {
		i.close()
		return nil, "", err
	}
	return i, staged, nil
}

func (i *image) write(dir string) (path string, err error) {
	out, err := os.CreateTemp(dir, ".*.partial")
	if err != nil {
		return "", err
	}
	_, err = out.Write(i.bytes)
	if err = errors.Join(err, out.Chmod(0o400), out.Close()); err != nil {
		return "", errors.Join(err, os.Remove(out.Name()))
	}
	return out.Name(), nil
}

// again is the image for one start, whatever becomes of i meanwhile.
func (i *image) again() (*image, error) {
	file, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", i.file.Fd()))
	if err != nil {
		return nil, err
	}
	own := *i.Package
	return &image{Package: &own, file: file}, nil
}

// prepare has a command start the copy. The process that is started has it under the next
// number, and finds it there: it may not look into this one. The kernel names a process
// after the file that it was started by, so that is a link with the app's name.
func (i *image) prepare(cmd *exec.Cmd, dir string) error {
	cmd.ExtraFiles = append(cmd.ExtraFiles, i.file)
	target := fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.ExtraFiles))
	cmd.Path = filepath.Join(dir, i.Name)
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

// close lets go of the copy. The kernel keeps it as long as an app runs that was started from it.
func (i *image) close() {
	if i.bytes != nil {
		unix.Munmap(i.bytes)
	}
	i.file.Close()
}
