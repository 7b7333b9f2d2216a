package lab

import (
	"cmp"
	"context"

	"keyladder/admin/server"
	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/phone"
	"keyladder/stages/workshop/scene"
)

// starter makes a program of the lab, out of the folder of its role, and returns what serves
// its listeners until the context ends.
type starter func(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (serve func(context.Context) error, err error)

// starters has one for each program of the table.
var starters = map[deployment.Role]starter{
	deployment.Resource: startResource,
	deployment.Phone:    startPhone,
	deployment.Attacker: startAttacker,
	deployment.Admin:    startAdmin,
}

func newLog(role deployment.Role) *traffic.Log { return traffic.New(string(role), Records) }

func startResource(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	server, err := resource.New(resource.Config{
		Folder: folder, Stages: o.Stages, Logger: o.Logger, Log: newLog(folder.Role), Sessions: o.Sessions,
	})
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, server.Close)
	return func(ctx context.Context) error {
		return server.Serve(ctx, resource.Listeners{
			Plain: listeners[deployment.PlainAPI], TLS: listeners[deployment.API], Terminated: listeners[deployment.TerminatedAPI],
			Manage: listeners[deployment.Manage(folder.Role)],
		})
	}, nil
}

func startPhone(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	screen, err := phone.New(phone.Config{
		Folder: folder, Stages: o.Stages, Log: newLog(folder.Role), Stage: cmp.Or(o.Stage, o.Stages[0].Slug),
		AdminURL: l.Addresses.URL(deployment.AdminUI),
	})
	if err != nil {
		return nil, err
	}
	l.PhoneLink = screen.PairingLink()
	return func(ctx context.Context) error {
		return screen.Serve(ctx, phone.Listeners{Screen: listeners[deployment.PhoneScreen], Manage: listeners[deployment.Manage(folder.Role)]})
	}, nil
}

func startAttacker(_ *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	station, err := scene.New(folder, o.Stages, newLog(folder.Role))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return station.Serve(ctx, listeners[deployment.Manage(folder.Role)]) }, nil
}

func startAdmin(l *Lab, o Options, folder *deployment.Folder, listeners program.Listeners) (func(context.Context) error, error) {
	admin, err := server.New(server.Config{
		Folder: folder, Stages: o.Stages, Resource: l.Resource, Phone: l.Phone, Station: l.Station,
		Referee: l.Referee, Password: o.AdminPassword, PhoneURL: l.Addresses.URL(deployment.PhoneScreen),
	})
	if err != nil {
		return nil, err
	}
	l.InitialPassword = admin.InitialPassword()
	return func(ctx context.Context) error { return admin.Serve(ctx, listeners[deployment.AdminUI]) }, nil
}
