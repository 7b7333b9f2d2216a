package testbank

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"time"

	"keyladder/backend/guard"
	"keyladder/backend/mediator"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/serve"
	"keyladder/stages/catalog"
)

// mediating is where the mediator listens; all is nil where no stage has one.
type mediating struct {
	tls, manage *door
	stop        func()
}

// listenMediator takes ports for the mediator, if a stage has one: its address is in the tokens that
// it accepts.
func (b *Bank) listenMediator(public map[deployment.ServiceName]string) {
	b.t.Helper()
	if !slices.ContainsFunc(b.Stages.Built(), func(s catalog.Stage) bool { return s.Call.ClientAuth.Attested() }) {
		return
	}
	b.mediating.tls, b.mediating.manage = b.door(), b.door()
	b.MediatorURL = "https://" + b.mediating.tls.address()
	public[deployment.MediatorService] = b.MediatorURL
	public[deployment.Manage(deployment.Mediator)] = "https://" + b.mediating.manage.address()
	if slices.ContainsFunc(b.Stages.Built(), func(s catalog.Stage) bool { return s.Call.Gateway == catalog.ThroughGateway }) {
		b.inside = b.door()
		public[deployment.InsideAPI] = "https://" + b.inside.address()
	}
}

// StartMediator starts the mediator, where it does not run, and waits until it knows the clients. It
// stops at the end of the test.
func (b *Bank) StartMediator() {
	b.t.Helper()
	if b.MediatorURL == "" || b.mediating.stop != nil {
		return
	}
	folder := b.folders[deployment.Mediator]
	settings, err := folder.Settings()
	b.must(err)
	config := mediator.Config{Folder: folder, Stages: b.Stages, Logger: slog.New(slog.DiscardHandler), Log: b.MediatorLog, Now: b.now}.With(settings)
	config.Address, config.Device = b.options.Address, guard.Limit{PerSecond: 1000, Burst: 10_000}
	if b.options.ShortTokens != 0 {
		config.ShortLifetime = b.options.ShortTokens
	}
	server, err := mediator.New(config)
	b.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	certificate, err := folder.Pair("server")
	b.must(err)
	listeners := mediator.Listeners{Terminated: b.listen(), Manage: b.mediating.manage.open()}
	front := serve.New(b.Front.before(listeners.Terminated.Addr().String()))
	go func() { served <- server.Serve(ctx, listeners) }()
	go front.Serve(tls.NewListener(b.mediating.tls.open(), showing(certificate)))
	b.mediating.stop = func() {
		cancel()
		if err := errors.Join(front.Close(), <-served, server.Close()); err != nil {
			b.t.Error(err)
		}
	}
	asked := b.managed(deployment.Mediator)
	defer asked.Close()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := asked.Healthy(b.t.Context())
		if err == nil {
			return
		}
		if time.Now().After(end) {
			b.t.Fatal(err)
		}
	}
}

// StopMediator stops the mediator.
func (b *Bank) StopMediator() {
	if b.mediating.stop != nil {
		b.mediating.stop()
		b.mediating.stop = nil
	}
}

// managed is the client of a program's management.
func (b *Bank) managed(role deployment.Role) *manage.Client {
	b.t.Helper()
	admin := *b.folders[deployment.Admin]
	client, err := manage.NewClient(&admin, role)
	b.must(err)
	return client
}
