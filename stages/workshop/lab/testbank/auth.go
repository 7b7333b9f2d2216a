package testbank

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"keyladder/backend/authserver"
	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
)

// auth is where the authorization server listens; all is nil where no stage has one.
type auth struct {
	tls, manage *door
	stop        func()
}

// listenAuth takes ports for the authorization server, if a stage has one: its address is in the
// tokens that the resource server accepts.
func (b *Bank) listenAuth(public map[deployment.ServiceName]string) {
	b.t.Helper()
	if !slices.ContainsFunc(b.Stages.Built(), func(s catalog.Stage) bool { return s.Auth.Issuer == catalog.AuthServer }) {
		return
	}
	b.auth.tls, b.auth.manage = b.door(), b.door()
	b.AuthURL = "https://" + b.auth.tls.address()
	public[deployment.AuthServer] = b.AuthURL
	public[deployment.Manage(deployment.Auth)] = "https://" + b.auth.manage.address()
}

// StartAuth starts the authorization server, where it does not run. It stops at the end of the test.
func (b *Bank) StartAuth() {
	b.t.Helper()
	if b.AuthURL == "" || b.auth.stop != nil {
		return
	}
	folder := b.folders[deployment.Auth]
	settings, err := folder.Settings()
	b.must(err)
	config := authserver.Config{Folder: folder, Stages: b.Stages, Logger: slog.New(slog.DiscardHandler), Log: b.AuthLog, Now: b.now}.With(settings)
	config.Address = b.options.Address
	if b.options.ShortTokens != 0 {
		config.ShortLifetime = b.options.ShortTokens
	}
	server, err := authserver.New(config)
	b.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	listeners := authserver.Listeners{TLS: b.auth.tls.open(), Manage: b.auth.manage.open()}
	go func() { served <- server.Serve(ctx, listeners) }()
	b.auth.stop = func() {
		cancel()
		if err := errors.Join(<-served, server.Close()); err != nil {
			b.t.Error(err)
		}
	}
}

// StopAuth stops the authorization server.
func (b *Bank) StopAuth() {
	if b.auth.stop != nil {
		b.auth.stop()
		b.auth.stop = nil
	}
}

// ClientSecret is a client's at the authorization server.
func (b *Bank) ClientSecret(clientID string) string {
	b.t.Helper()
	var secrets map[string]string
	b.must(b.folders[deployment.Auth].JSON("secrets.json", &secrets))
	return secrets[clientID]
}
