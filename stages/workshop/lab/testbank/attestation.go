package testbank

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	attestsvc "keyladder/attestsvc/server"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
)

// attestation is the attestation service; all is nil where no stage has one.
type attestation struct {
	tls, manage *door
	server      *attestsvc.Server
	stop        func()
	line        *line
}

// listenAttestation takes ports for the attestation service, if a stage has one: its address is in
// the tokens that the resource server accepts.
func (b *Bank) listenAttestation(public map[deployment.ServiceName]string) {
	b.t.Helper()
	if !slices.ContainsFunc(b.Stages.Built(), func(s catalog.Stage) bool { return s.Attestation.Level != catalog.NotAttested }) {
		return
	}
	b.attestation.tls, b.attestation.manage = b.door(), b.door()
	b.AttestationURL = "https://" + b.attestation.tls.address()
	public[deployment.AttestationService] = b.AttestationURL
	public[deployment.Manage(deployment.Attestation)] = "https://" + b.attestation.manage.address()
}

// StartAttestation starts the attestation service, where it does not run. It stops at the end of the
// test.
func (b *Bank) StartAttestation() {
	b.t.Helper()
	if b.AttestationURL == "" || b.attestation.stop != nil {
		return
	}
	folder := b.folders[deployment.Attestation]
	settings, err := folder.Settings()
	b.must(err)
	if b.options.IntegrityTokens != 0 {
		settings.IntegrityLifetime = b.options.IntegrityTokens
	}
	config := attestsvc.Config{Folder: folder, Stages: b.Stages, Log: b.AttestationLog, Logger: slog.New(slog.DiscardHandler), Now: b.now}.With(settings)
	config.Address = b.options.Address
	server, err := attestsvc.New(config)
	b.must(err)
	b.attestation.line = &line{Listener: b.attestation.tls.open()}
	managed := b.attestation.manage.open()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, attestsvc.Listeners{TLS: b.attestation.line, Manage: managed}) }()
	b.attestation.server, b.attestation.stop = server, func() {
		cancel()
		b.attestation.line.hold(false)
		if err := errors.Join(<-served, server.Close()); err != nil {
			b.t.Error(err)
		}
	}
}

// StopAttestation stops the attestation service.
func (b *Bank) StopAttestation() {
	if b.attestation.stop != nil {
		b.attestation.stop()
		b.attestation.stop = nil
	}
}

// HoldAttestation has the attestation service be silent, until it is told to go on.
func (b *Bank) HoldAttestation(silent bool) { b.attestation.line.hold(silent) }

// awaitAttestation waits until the servers know the keys that they share.
func (b *Bank) awaitAttestation() {
	b.t.Helper()
	if b.AttestationURL == "" {
		return
	}
	attesting := b.managed(deployment.Attestation)
	well := func() error {
		err := errors.Join(attesting.Healthy(b.t.Context()), b.manage.Healthy(b.t.Context()))
		if b.MediatorURL != "" {
			err = errors.Join(err, b.managed(deployment.Mediator).Healthy(b.t.Context()))
		}
		return err
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := well()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			b.t.Fatal(err)
		}
	}
}

// Publish tells the attestation service about a package of the bank's, if there is one.
func (b *Bank) Publish(path string) {
	b.t.Helper()
	if b.attestation.server == nil {
		return
	}
	file, err := os.Open(path)
	b.must(err)
	defer file.Close()
	b.must(b.attestation.server.Register(b.t.Context(), file))
}

// line is a listener on whose connections nothing is heard for a while.
type line struct {
	net.Listener
	mu     sync.Mutex
	silent chan struct{} // closed when it is over; nil: it is not
}

func (l *line) hold(silent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case silent && l.silent == nil:
		l.silent = make(chan struct{})
	case !silent && l.silent != nil:
		close(l.silent)
		l.silent = nil
	}
}

// Accept is that of [net.Listener].
func (l *line) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return &heard{conn, l}, err
}

type heard struct {
	net.Conn
	line *line
}

func (h *heard) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.line.mu.Lock()
	silent := h.line.silent
	h.line.mu.Unlock()
	if silent != nil {
		<-silent
	}
	return n, err
}
