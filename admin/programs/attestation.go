package programs

import (
	"context"
	"net/url"
	"time"

	"keyladder/internal/manage"
)

// Attestations are the results that fit a query.
func (r Remote) Attestations(ctx context.Context, q manage.AttestationQuery) (manage.AttestationList, error) {
	return asked(ctx, r, manage.Attestations, q)
}

// Attestation is the result with a reference code.
func (r Remote) Attestation(ctx context.Context, reference string) (manage.Attestation, error) {
	return asked(ctx, r, manage.AttestationBy, reference)
}

// AttestationSessions are the latest sessions; stage and state may be empty.
func (r Remote) AttestationSessions(ctx context.Context, stage, state string, part manage.Part) (manage.AttestationSessionList, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return manage.AttestationSessions(ctx, r, stage, state, part)
}

// Watched counts results, by stage.
func (r Remote) Watched(ctx context.Context) ([]manage.Watched, error) {
	return get[[]manage.Watched](ctx, r, manage.AttestationsWatchedPath)
}

// Answers are how long answers to evidence took, and what else can be seen of them, by level.
func (r Remote) Answers(ctx context.Context) ([]manage.Latencies, error) {
	return get[[]manage.Latencies](ctx, r, manage.LatenciesPath)
}

// References are the packages with which evidence is compared, the newest first.
func (r Remote) References(ctx context.Context) ([]manage.Reference, error) {
	return get[[]manage.Reference](ctx, r, manage.ReferencesPath)
}

// Coverage says how likely a challenge misses a change, by package.
func (r Remote) Coverage(ctx context.Context) ([]manage.Coverage, error) {
	return get[[]manage.Coverage](ctx, r, manage.CoveragePath)
}

// Signers are who may sign packages.
func (r Remote) Signers(ctx context.Context) ([]manage.Signer, error) {
	return get[[]manage.Signer](ctx, r, manage.SignersPath)
}

// uploadTime is how long it may take to register a package.
const uploadTime = 30 * time.Second

// RegisterReference registers a package.
func (r Remote) RegisterReference(ctx context.Context, pkg []byte) (manage.Reference, error) {
	ctx, cancel := context.WithTimeout(ctx, uploadTime)
	defer cancel()
	return manage.RegisterPackage(ctx, r, pkg)
}

// IntegrityCalls counts calls with client integrity tokens.
func (r Remote) IntegrityCalls(ctx context.Context, q manage.IntegrityCallsQuery) (manage.IntegrityCalls, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return manage.Post[manage.IntegrityCalls](ctx, r, manage.IntegrityCallsPath, q)
}

// Enforcements are what is in force, by stage.
func (r Remote) Enforcements(ctx context.Context) ([]manage.Enforcement, error) {
	return get[[]manage.Enforcement](ctx, r, manage.EnforcementPath)
}

// DeviceCertificates are those that the service knows, the makers' first; with serial numbers, those of
// them that it knows.
func (r Remote) DeviceCertificates(ctx context.Context, serials ...string) ([]manage.DeviceCertificate, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return manage.DeviceCertificates(ctx, r, serials...)
}

// Systems are the keys with which systems of devices are signed.
func (r Remote) Systems(ctx context.Context) ([]manage.AcceptedSystem, error) {
	return get[[]manage.AcceptedSystem](ctx, r, manage.SystemsPath)
}

// AttestedDevices are the devices that attested and fit a query.
func (r Remote) AttestedDevices(ctx context.Context, q manage.AttestedDeviceQuery) (manage.AttestedDeviceList, error) {
	return asked(ctx, r, manage.AttestedDevices, q)
}

// AttestedDevice is a device that attested.
func (r Remote) AttestedDevice(ctx context.Context, id string) (manage.AttestedDevice, error) {
	return get[manage.AttestedDevice](ctx, r, manage.AttestedDevicesPath+"/"+url.PathEscape(id))
}
