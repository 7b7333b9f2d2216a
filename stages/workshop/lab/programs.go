package lab

import (
	"cmp"
	"context"

	"keyladder/admin/programs"
	"keyladder/admin/server"
	attestation "keyladder/attestsvc/server"
	"keyladder/backend/authserver"
	"keyladder/backend/mediator"
	"keyladder/backend/rates"
	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/phone"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/scene"
)

// starter makes a program of the lab, out of the folder of its role, and returns what serves
// its listeners until the context ends.
type starter func(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (serve func(context.Context) error, err error)

// starters has one for each program of the table.
var starters = map[deployment.Role]starter{
	deployment.Auth:        startProvider(catalog.AuthServer, deployment.AuthServer),
	deployment.Lite:        startProvider(catalog.LiteServer, deployment.LiteServer),
	deployment.Attestation: startAttestation,
	deployment.Mediator:    startMediator,
	deployment.Rates:       startRates,
	deployment.Resource:    startResource,
	deployment.Phone:       startPhone,
	deployment.Attacker:    startAttacker,
	deployment.Admin:       startAdmin,
}

// settings are the folder's, with what the options change of them, and the log that they
// want.
func (o *Options) settings(folder *deployment.Folder) (deployment.Settings, *traffic.Log, error) {
	settings, err := folder.Settings()
	if err != nil {
		return settings, nil, err
	}
	if err := settings.ChangeAll(folder.Role, o.Settings); err != nil {
		return settings, nil, err
	}
	return settings, traffic.New(string(folder.Role), settings.TrafficRecords), nil
}

func startResource(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	settings, log, err := o.settings(folder)
	if err != nil {
		return nil, err
	}
	server, err := resource.New(resource.Config{Folder: folder, Stages: o.Stages, Logger: o.Logger, Log: log, Now: o.Now}.With(settings))
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, server.Close)
	return func(ctx context.Context) error {
		return server.Serve(ctx, resource.Listeners{
			Plain: listeners[deployment.PlainAPI], TLS: listeners[deployment.API], Terminated: listeners[deployment.TerminatedAPI],
			Inside: listeners[deployment.InsideAPI], Manage: listeners[deployment.Manage(folder.Role)],
		})
	}, nil
}

func startProvider(issuer catalog.Issuer, service deployment.ServiceName) starter {
	return func(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
		settings, log, err := o.settings(folder)
		if err != nil {
			return nil, err
		}
		server, err := authserver.New(authserver.Config{Folder: folder, Issuer: issuer, Stages: o.Stages, Logger: o.Logger, Log: log, Now: o.Now}.With(settings))
		if err != nil {
			return nil, err
		}
		l.closers = append(l.closers, server.Close)
		return func(ctx context.Context) error {
			return server.Serve(ctx, authserver.Listeners{TLS: listeners[service], Manage: listeners[deployment.Manage(folder.Role)]})
		}, nil
	}
}

func startAttestation(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	settings, log, err := o.settings(folder)
	if err != nil {
		return nil, err
	}
	service, err := attestation.New(attestation.Config{Folder: folder, Stages: o.Stages, Logger: o.Logger, Log: log, Now: o.Now}.With(settings))
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, service.Close)
	return func(ctx context.Context) error {
		return service.Serve(ctx, attestation.Listeners{TLS: listeners[deployment.AttestationService], Manage: listeners[deployment.Manage(folder.Role)]})
	}, nil
}

func startMediator(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	settings, log, err := o.settings(folder)
	if err != nil {
		return nil, err
	}
	stages := o.Stages
	if o.Mediator != nil {
		stages = o.Mediator
	}
	server, err := mediator.New(mediator.Config{Folder: folder, Stages: stages, Logger: o.Logger, Log: log, Now: o.Now}.With(settings))
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, server.Close)
	return func(ctx context.Context) error {
		return server.Serve(ctx, mediator.Listeners{TLS: listeners[deployment.MediatorService], Terminated: listeners[deployment.TerminatedMediator], Manage: listeners[deployment.Manage(folder.Role)]})
	}, nil
}

func startRates(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	settings, log, err := o.settings(folder)
	if err != nil {
		return nil, err
	}
	server, err := rates.New(rates.Config{Folder: folder, Logger: o.Logger, Log: log, Now: o.Now}.With(settings))
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, server.Close)
	return func(ctx context.Context) error {
		return server.Serve(ctx, rates.Listeners{TLS: listeners[deployment.RatesAPI], Manage: listeners[deployment.Manage(folder.Role)]})
	}, nil
}

func startPhone(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	_, log, err := o.settings(folder)
	if err != nil {
		return nil, err
	}
	screen, err := phone.New(phone.Config{
		Folder: folder, Stages: o.Stages, Log: log, Stage: cmp.Or(o.Stage, o.Stages[0].Slug),
		AdminURL: l.Addresses.URL(deployment.AdminUI),
	})
	if err != nil {
		return nil, err
	}
	l.PhoneLink, l.PhonePages = screen.PairingLink(), screen.Pages()
	return func(ctx context.Context) error {
		return screen.Serve(ctx, phone.Listeners{Screen: listeners[deployment.PhoneScreen], Manage: listeners[deployment.Manage(folder.Role)]})
	}, nil
}

func startAttacker(_ *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	_, log, err := o.settings(folder)
	if err != nil {
		return nil, err
	}
	station, err := scene.New(folder, o.Stages, log)
	if err != nil {
		return nil, err
	}
	station.Spend, station.Shelf = o.Spend, &shared.shelf
	return func(ctx context.Context) error { return station.Serve(ctx, listeners[deployment.Manage(folder.Role)]) }, nil
}

func startAdmin(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	settings, _, err := o.settings(folder)
	if err != nil {
		return nil, err
	}
	config := server.Config{
		Folder: folder, Stages: o.Stages, Settings: settings,
		Programs: programs.Of(l.clients),
		Referee:  l.Referee, Password: o.AdminPassword, PhoneURL: l.Addresses.URL(deployment.PhoneScreen),
	}
	if l.throwAway {
		config.PasswordCost = &cheap
	}
	admin, err := server.New(config)
	if err != nil {
		return nil, err
	}
	l.InitialPassword, l.AdminPages = admin.InitialPassword(), admin.Pages()
	return func(ctx context.Context) error { return admin.Serve(ctx, listeners[deployment.AdminUI]) }, nil
}
