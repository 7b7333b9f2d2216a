package lookalike

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"

	"keyladder/mobileclient/attacker/network"
)

// Collector is the server to which a look-alike app sends what is typed into it.
type Collector struct {
	// Told, when it is set before the first victim types, gets what is typed, as it comes.
	Told func(Typed)

	listener net.Listener
	server   *http.Server
	done     chan error
	typed    chan Typed // the latest
}

// NewCollector starts a collector at an address, host:port; empty: a free port of this
// machine. Close it.
func NewCollector(address string) (*Collector, error) {
	listener, err := net.Listen("tcp", cmp.Or(address, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	c := &Collector{listener: listener, done: make(chan error, 1), typed: make(chan Typed, 8)}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: network.Timeout}
	go func() { c.done <- c.server.Serve(listener) }()
	return c, nil
}

// URL is where the collector is.
func (c *Collector) URL() string { return "http://" + c.listener.Addr().String() }

// Close stops the collector.
func (c *Collector) Close() {
	_ = c.server.Close()
	<-c.done
}

func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var what Typed
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<12)).Decode(&what)
	if err != nil || what.Link == "" && (what.User == "" || what.Password == "") {
		http.Error(w, "nothing was typed", http.StatusBadRequest)
		return
	}
	if c.Told != nil {
		c.Told(what)
	}
	select {
	case c.typed <- what:
	default: // enough
	}
	w.WriteHeader(http.StatusNoContent)
}

// Latest is what was typed last, if anything was.
func (c *Collector) Latest() (what Typed, ok bool) {
	for {
		select {
		case what = <-c.typed:
			ok = true
		default:
			return what, ok
		}
	}
}
