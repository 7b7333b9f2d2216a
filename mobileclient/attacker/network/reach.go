package network

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Dialer is what all tools connect with.
var Dialer = &net.Dialer{Timeout: 5 * time.Second, ControlContext: onlyNearby}

// onlyNearby keeps the attacker's tools, some of which connect to wherever they are
// told, on this machine and on private networks.
func onlyNearby(_ context.Context, _, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() && !ip.IsPrivate() {
		return fmt.Errorf("%s is not on this machine or a private network, which these tools never leave", host)
	}
	return nil
}
