package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	attestation "keyladder/attestsvc/server"
	"keyladder/backend/authserver"
	"keyladder/backend/guard"
	"keyladder/backend/mediator"
	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/program"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
	"keyladder/mobileclient/release/build"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
)

// unreached is a limit that no measurement reaches. The guard keeps to it, announces it and
// so does all the work that a limit is.
var unreached = guard.Limit{PerSecond: 1e6, Burst: 1e6}

// nonces is how many the server remembers: more than it is sent while they are good.
const nonces = 4_000_000

// addresses are where the server answers, host:port.
type addresses struct {
	Plain       string `json:"plain"` // the API
	TLS         string `json:"tls"`
	Auth        string `json:"auth"`        // the authorization server
	Attestation string `json:"attestation"` // the attestation service
	Mediator    string `json:"mediator"`
	Inside      string `json:"inside"` // the API behind the gateway
	Free        string `json:"free"`   // the API's handlers without the guard
	Freed       string `json:"freed"`
	Bare        string `json:"bare"` // net/http with a fixed answer
}

// Serve makes a deployment in dir and is the server that is measured, until ctx ends. It
// writes a line to out when it is ready.
func Serve(ctx context.Context, dir string, stages catalog.Set, out io.Writer) error {
	program.CollectLess()
	var all []net.Listener
	defer func() {
		for _, listener := range all {
			listener.Close()
		}
	}()
	listen := func(into *net.Listener) (address string, err error) {
		if *into, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
		all = append(all, *into)
		return (*into).Addr().String(), nil
	}
	var plain, tls, auth, attesting, mediating, inside, manage, manageAuth, manageAttesting, manageMediating, free, freed, bare net.Listener
	var at addresses
	var manageAt, manageAuthAt, manageAttestingAt, manageMediatingAt string
	var err error
	for _, l := range []struct {
		into    *net.Listener
		address *string
	}{
		{&plain, &at.Plain},
		{&tls, &at.TLS},
		{&auth, &at.Auth},
		{&attesting, &at.Attestation},
		{&mediating, &at.Mediator},
		{&inside, &at.Inside},
		{&manage, &manageAt},
		{&manageAuth, &manageAuthAt},
		{&manageAttesting, &manageAttestingAt},
		{&manageMediating, &manageMediatingAt},
		{&free, &at.Free},
		{&freed, &at.Freed},
		{&bare, &at.Bare},
	} {
		if *l.address, err = listen(l.into); err != nil {
			return err
		}
	}
	if err := deployIn(ctx, dir, stages, at, map[deployment.Role]string{
		deployment.Resource: manageAt, deployment.Auth: manageAuthAt, deployment.Attestation: manageAttestingAt, deployment.Mediator: manageMediatingAt,
	}); err != nil {
		return err
	}
	folder, err := deployment.Open(dir, deployment.Resource)
	if err != nil {
		return err
	}
	authFolder, err := deployment.Open(dir, deployment.Auth)
	if err != nil {
		return err
	}
	issuing, err := authserver.New(authserver.Config{
		Folder: authFolder, Stages: stages, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}.With(unlimited()))
	if err != nil {
		return err
	}
	defer issuing.Close()
	attestFolder, err := deployment.Open(dir, deployment.Attestation)
	if err != nil {
		return err
	}
	service, err := attestation.New(attestation.Config{
		Folder: attestFolder, Stages: stages, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}.With(unlimited()))
	if err != nil {
		return err
	}
	defer service.Close()
	operations, err := newBare()
	if err != nil {
		return err
	}
	mediatorFolder, err := deployment.Open(dir, deployment.Mediator)
	if err != nil {
		return err
	}
	between, err := mediator.New(mediator.Config{
		Folder: mediatorFolder, Stages: stages, Around: operations.around, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}.With(unlimited()))
	if err != nil {
		return err
	}
	server, err := resource.New(resource.Config{
		Folder: folder, Stages: stages, Log: traffic.New(string(deployment.Resource), deployment.DefaultSettings.TrafficRecords),
		Address: unreached, Nonces: nonces, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer server.Close()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return issuing.Serve(ctx, authserver.Listeners{TLS: auth, Manage: manageAuth}) })
	group.Go(func() error {
		return service.Serve(ctx, attestation.Listeners{TLS: attesting, Manage: manageAttesting})
	})
	group.Go(func() error {
		return between.Serve(ctx, mediator.Listeners{TLS: mediating, Manage: manageMediating})
	})
	group.Go(func() error {
		return server.Serve(ctx, resource.Listeners{Plain: plain, TLS: tls, Inside: inside, Manage: manage})
	})
	group.Go(func() error { return server.ServeUnguarded(ctx, guard.Plain, free) })
	group.Go(func() error { return server.ServeUnguarded(ctx, guard.TLS, freed) })
	group.Go(func() error {
		return serve.HTTP(ctx, &http.Server{Handler: operations.bareHandler()}, bare)
	})
	if err := json.NewEncoder(out).Encode(at); err != nil {
		return err
	}
	return group.Wait()
}

// unlimited are settings with which tokens outlive every measurement.
func unlimited() deployment.Settings {
	settings := deployment.DefaultSettings
	settings.AddressPerSecond, settings.AddressBurst = unreached.PerSecond, unreached.Burst
	settings.DevicePerSecond, settings.DeviceBurst = unreached.PerSecond, unreached.Burst
	settings.ShortLifetime, settings.IntegrityLifetime = settings.TokenLifetime, settings.TokenLifetime
	return settings
}

// fixed is about as long as the answer with the rates.
func fixed(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"base":"EUR","rates":{"CHF":"0.9312","DKK":"7.4604","GBP":"0.8421","JPY":"163.45","NOK":"11.7250","SEK":"11.4880","USD":"1.0834"}}`)
}

// deployIn makes the deployment. Nobody starts the app, so its packages hold no program.
func deployIn(ctx context.Context, dir string, stages catalog.Set, at addresses, manage map[deployment.Role]string) error {
	programs := build.Programs{}
	for _, way := range deploy.Ways(stages) {
		programs[way] = filepath.Join(dir, "no-program")
	}
	if err := os.WriteFile(filepath.Join(dir, "no-program"), []byte("nothing"), 0o600); err != nil {
		return fmt.Errorf("make a deployment to measure: %w", err)
	}
	public := map[deployment.ServiceName]string{
		deployment.PlainAPI: "http://" + at.Plain, deployment.API: "https://" + at.TLS,
		deployment.AuthServer: "https://" + at.Auth, deployment.AttestationService: "https://" + at.Attestation,
		deployment.MediatorService: "https://" + at.Mediator, deployment.InsideAPI: "https://" + at.Inside,
		deployment.RatesAPI: "https://" + at.Mediator, // which nobody measures
	}
	for role, address := range manage {
		public[deployment.Manage(role)] = "https://" + address
	}
	_, err := deploy.Init(ctx, deploy.Options{Dir: dir, Stages: stages, Programs: programs, Addresses: deployment.Addresses{Public: public}})
	if err != nil {
		return err
	}
	return publish(dir)
}
