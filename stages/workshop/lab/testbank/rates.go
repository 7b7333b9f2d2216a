package testbank

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"keyladder/backend/rates"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
)

// rating is where the third party's rates API listens; all is nil where no stage has a gateway.
type rating struct {
	tls, manage *door
	stop        func()
}

// listenRates takes ports for the rates API, if a stage has a gateway that asks it.
func (b *Bank) listenRates(public map[deployment.ServiceName]string) {
	b.t.Helper()
	if !slices.ContainsFunc(b.Stages.Built(), func(s catalog.Stage) bool { return s.Call.Gateway == catalog.ThroughGateway }) {
		return
	}
	b.rating.tls, b.rating.manage = b.door(), b.door()
	b.RatesURL = "https://" + b.rating.tls.address()
	public[deployment.RatesAPI] = b.RatesURL
	public[deployment.Manage(deployment.Rates)] = "https://" + b.rating.manage.address()
}

// StartRates starts the rates API, where it does not run. It stops at the end of the test.
func (b *Bank) StartRates() {
	b.t.Helper()
	if b.RatesURL == "" || b.rating.stop != nil {
		return
	}
	folder := b.folders[deployment.Rates]
	settings, err := folder.Settings()
	b.must(err)
	server, err := rates.New(rates.Config{Folder: folder, Log: b.RatesLog, Logger: slog.New(slog.DiscardHandler), Now: b.now}.With(settings))
	b.must(err)
	listeners := rates.Listeners{TLS: b.rating.tls.open(), Manage: b.rating.manage.open()}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listeners) }()
	b.rating.stop = func() {
		cancel()
		if err := errors.Join(<-served, server.Close()); err != nil {
			b.t.Error(err)
		}
	}
}

// StopRates stops the rates API.
func (b *Bank) StopRates() {
	if b.rating.stop != nil {
		b.rating.stop()
		b.rating.stop = nil
	}
}
