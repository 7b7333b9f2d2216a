package serve_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"keyladder/internal/serve"
)

// withoutIPv6 is the variable that has this test run in a process on a network without IPv6.
const withoutIPv6 = "KEYLADDER_TEST_WITHOUT_IPV6"

// TestMachineWithoutIPv6 listens on localhost where there is no ::1: the program warns once, and
// is there for browsers that ask for localhost.
func TestMachineWithoutIPv6(t *testing.T) {
	if os.Getenv(withoutIPv6) != "" {
		onIPv4Alone(t)
		return
	}
	t.Parallel()
	// In namespaces of its own, which takes no rights.
	command := exec.Command(os.Args[0], "-test.run=^TestMachineWithoutIPv6$", "-test.v")
	command.Env = append(os.Environ(), withoutIPv6+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	output, err := command.CombinedOutput()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || strings.Contains(string(output), "no network of its own") {
		t.Skipf("SKIPPED, NOT TESTED: this system gives no network of its own: %v\n%s", err, output)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if warnings := strings.Count(string(output), "this machine has no IPv6"); warnings != 1 {
		t.Errorf("%d warnings:\n%s", warnings, output)
	}
}

func onIPv4Alone(t *testing.T) {
	if err := loopbackUp(); err != nil {
		t.Fatalf("no network of its own: %v", err)
	}
	// Where the kernel has IPv6, it is switched off.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		// A container's /proc may not be written to. The loopback interface gets its ::1 when it
		// comes up, and loses it here.
		if err := exec.Command("ip", "-6", "address", "del", "::1/128", "dev", "lo").Run(); err != nil {
			t.Fatalf("no network of its own: %v", err)
		}
	}
	if six, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		six.Close()
		t.Fatal("no network of its own: there is a ::1")
	}
	for range 2 {
		listener, err := serve.Listen("localhost:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") })}
		go func() { _ = server.Serve(listener) }()
		resp, err := http.Get("http://localhost:" + strconv.Itoa(serve.Port(listener)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.Body.Close(); err != nil || string(body) != "here" {
			t.Errorf("%q, %v", body, err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}
}

// loopbackUp switches the loopback interface on.
func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}
