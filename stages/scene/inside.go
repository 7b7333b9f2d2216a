package scene

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"

	"keyladder/backend/terminator"
	"keyladder/internal/pki"
	"keyladder/mobileclient/attacker"
	"keyladder/mobileclient/device"
)

// newInside puts a TLS terminator of the bank's between the victim and the API, and
// gives the attacker the machine that it runs on.
func (s *Station) newInside(ctx context.Context, slug, reference string) (*attacker.Inside, func(), error) {
	server, err := s.folder.Pair("server")
	if err != nil {
		return nil, nil, err
	}
	client, err := s.folder.Pair("terminator")
	if err != nil {
		return nil, nil, err
	}
	roots, err := pki.Pool(s.roots)
	if err != nil {
		return nil, nil, err
	}
	victim, err := s.newVictim(ctx, slug)
	if err != nil {
		return nil, nil, err
	}
	_ = server
	_ = client
	_ = roots
	_ = terminator.New
	return nil, victim.leave, errors.New("unfinished")
}

// route is the network of the bank as the victim's phone sees it: what is addressed to
// the API arrives at the terminator.
func route(ctx context.Context, listener net.Listener, targets map[string]string) {}

var _ = fmt.Sprint
var _ = io.EOF
var _ = url.Parse
var _ = device.Network{}
