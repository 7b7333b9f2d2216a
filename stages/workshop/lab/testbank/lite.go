package testbank

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"keyladder/backend/authserver"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// lite is where the other company's authorization server listens; all is nil where no stage has one.
type lite struct {
	tls, manage *door
	stop        func()
}

// listenLite takes ports for the other company's authorization server, if it has a part in a stage.
func (b *Bank) listenLite(public map[deployment.ServiceName]string) {
	b.t.Helper()
	if !slices.ContainsFunc(b.Stages.Built(), func(s catalog.Stage) bool { _, ok := s.Provider(catalog.LiteServer); return ok }) {
		return
	}
	b.lite.tls, b.lite.manage = b.door(), b.door()
	b.LiteURL = "https://" + b.lite.tls.address()
	public[deployment.LiteServer] = b.LiteURL
	public[deployment.Manage(deployment.Lite)] = "https://" + b.lite.manage.address()
}

// StartLite starts the other company's authorization server, where it does not run. It stops at the
// end of the test.
func (b *Bank) StartLite() {
	b.t.Helper()
	if b.LiteURL == "" || b.lite.stop != nil {
		return
	}
	folder := b.folders[deployment.Lite]
	settings, err := folder.Settings()
	b.must(err)
	config := authserver.Config{Folder: folder, Issuer: catalog.LiteServer, Stages: b.Stages, Logger: slog.New(slog.DiscardHandler), Log: b.LiteLog, Now: b.now}.With(settings)
	config.Address = b.options.Address
	server, err := authserver.New(config)
	b.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	listeners := authserver.Listeners{TLS: b.lite.tls.open(), Manage: b.lite.manage.open()}
	go func() { served <- server.Serve(ctx, listeners) }()
	b.lite.stop = func() {
		cancel()
		if err := errors.Join(<-served, server.Close()); err != nil {
			b.t.Error(err)
		}
	}
}

// StopLite stops it.
func (b *Bank) StopLite() {
	if b.lite.stop != nil {
		b.lite.stop()
		b.lite.stop = nil
	}
}

// ManageLite is the client of its management.
func (b *Bank) ManageLite() *manage.Client { return b.managed(deployment.Lite) }

// LiteSecret is a client's there.
func (b *Bank) LiteSecret(clientID string) string {
	b.t.Helper()
	var secrets map[string]string
	b.must(b.folders[deployment.Lite].JSON("secrets.json", &secrets))
	return secrets[clientID]
}
