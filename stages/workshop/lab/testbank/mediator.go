package testbank

import (
	"context"
	"log/slog"
	"net"
	"slices"

	"keyladder/backend/mediator"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// mediating is where the mediator listens; all is nil where no stage has one.
type mediating struct{ tls, manage net.Listener }

// listenMediator finds ports for the mediator, if a stage has one: its address is in the tokens that
// it accepts.
func (b *Bank) listenMediator(public map[deployment.ServiceName]string) {
	b.t.Helper()
	if !slices.ContainsFunc(b.Stages.Built(), func(s catalog.Stage) bool { return s.Call.ClientAuth == catalog.Mediated }) {
		return
	}
	b.mediating = mediating{tls: b.listen(), manage: b.listen()}
	b.MediatorURL = "https://" + b.mediating.tls.Addr().String()
	public[deployment.MediatorService] = b.MediatorURL
	public[deployment.Manage(deployment.Mediator)] = "https://" + b.mediating.manage.Addr().String()
}

// openMediator starts the mediator. It stops at the end of the test.
func (b *Bank) openMediator() {
	b.t.Helper()
	if b.mediating.tls == nil {
		return
	}
	folder := b.folders[deployment.Mediator]
	settings, err := folder.Settings()
	b.must(err)
	config := mediator.Config{Folder: folder, Stages: b.Stages, Logger: slog.New(slog.DiscardHandler), Log: b.MediatorLog}.With(settings)
	config.Address, config.Now = b.options.Address, b.now
	server, err := mediator.New(config)
	b.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(ctx, mediator.Listeners{TLS: b.mediating.tls, Manage: b.mediating.manage})
	}()
	b.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			b.t.Error(err)
		}
	})
}

// managed is the client of a program's management.
func (b *Bank) managed(role deployment.Role) *manage.Client {
	b.t.Helper()
	admin := *b.folders[deployment.Admin]
	client, err := manage.NewClient(&admin, role)
	b.must(err)
	return client
}
