package terminator

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"
)

// ServeRoad is the terminator with the way there, until ctx ends: an access point at which
// what is addressed to the API, over TLS or without, arrives at the terminator instead, as it
// does when the bank's DNS names a load balancer. The addresses are URLs without a path.
func (t *Terminator) ServeRoad(ctx context.Context, road net.Listener, api, plainAPI string) error {
	programs, ctx := errgroup.WithContext(ctx)
	ends := map[string]string{} // host:port of the API → the terminator's listener
	for address, serve := range map[string]func(context.Context, net.Listener) error{api: t.Serve, plainAPI: t.ServePlain} {
		u, err := url.Parse(address)
		if err != nil {
			road.Close()
			return fmt.Errorf("lead to a TLS terminator: %w", err)
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			road.Close()
			return fmt.Errorf("lead to a TLS terminator: %w", err)
		}
		ends[u.Host] = listener.Addr().String()
		programs.Go(func() error { return serve(ctx, listener) })
	}
	defer context.AfterFunc(ctx, func() { road.Close() })()
	programs.Go(func() error {
		for {
			conn, err := road.Accept()
			if err != nil {
				if ctx.Err() != nil {
					return nil // closed
				}
				return fmt.Errorf("lead to a TLS terminator: %w", err)
			}
			go t.carry(ctx, conn, ends)
		}
	})
	return programs.Wait()
}

// carry brings one connection to where it leads: its first line says where it wants to go.
func (t *Terminator) carry(ctx context.Context, from net.Conn, ends map[string]string) {
	defer from.Close()
	defer context.AfterFunc(ctx, func() { from.Close() })()
	reader := bufio.NewReader(from)
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return
	}
	address := strings.TrimSpace(string(line))
	end, ok := ends[address]
	if !ok { // it leads elsewhere, past the terminator
		end = t.config.Routes.To(address)
	}
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", end)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, reader) // the end of either side ends both
		to.Close()
	}()
	_, _ = io.Copy(from, to)
}
