package testbank

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"

	"keyladder/backend/authserver"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// auth is where the authorization server listens; all is nil where no stage has one.
type auth struct{ tls, manage net.Listener }

// listenAuth finds ports for the authorization server, if a stage has one: its address is in the
// tokens that the resource server accepts.
func (b *Bank) listenAuth(public map[deployment.ServiceName]string) {
	b.t.Helper()
	if !slices.ContainsFunc(b.Stages.Built(), func(s catalog.Stage) bool { return s.Auth.Issuer == catalog.AuthServer }) {
		return
	}
	b.auth = auth{tls: b.listen(), manage: b.listen()}
	b.AuthURL = "https://" + b.auth.tls.Addr().String()
	public[deployment.AuthServer] = b.AuthURL
	public[deployment.Manage(deployment.Auth)] = "https://" + b.auth.manage.Addr().String()
}

// openAuth starts the authorization server. It stops at the end of the test.
func (b *Bank) openAuth() {
	b.t.Helper()
	if b.auth.tls == nil {
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
	go func() {
		served <- server.Serve(ctx, authserver.Listeners{TLS: b.auth.tls, Manage: b.auth.manage})
	}()
	b.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-served, server.Close()); err != nil {
			b.t.Error(err)
		}
	})
	admin := *b.folders[deployment.Admin]
	b.manageAuth, err = manage.NewClient(&admin, deployment.Auth)
	b.must(err)
}

// ManageAuth is the client of the authorization server's management.
func (b *Bank) ManageAuth() *manage.Client { return b.manageAuth }

// ClientSecret is a client's at the authorization server.
func (b *Bank) ClientSecret(clientID string) string {
	b.t.Helper()
	var secrets map[string]string
	b.must(b.folders[deployment.Auth].JSON("secrets.json", &secrets))
	return secrets[clientID]
}
