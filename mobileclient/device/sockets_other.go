//go:build !linux && !darwin

package device

import (
	"errors"
	"net"
	"os"
)

func socketPair(string) (*net.UnixConn, *os.File, error) { return nil, nil, errors.ErrUnsupported }

func sendFile(*net.UnixConn, uint64, *os.File) error { return errors.ErrUnsupported }
