package programs

import (
	"context"
	"time"

	"keyladder/internal/manage"
)

// Providers are those whose client the mediator is, by name.
func (r Remote) Providers(ctx context.Context) ([]manage.Provider, error) {
	return get[[]manage.Provider](ctx, r, manage.ProvidersPath)
}

// Provider is one of them.
func (r Remote) Provider(ctx context.Context, name string) (manage.Provider, error) {
	return asked(ctx, r, manage.ProviderNamed, name)
}

// ProviderVersions are what a provider was, the newest first.
func (r Remote) ProviderVersions(ctx context.Context, name string) ([]manage.ProviderVersion, error) {
	return asked(ctx, r, manage.ProviderVersions, name)
}

// AddProvider adds a provider, and ChangeProvider changes one as a whole.
func (r Remote) AddProvider(ctx context.Context, p manage.Provider) (manage.Provider, error) {
	return asked(ctx, r, manage.AddProvider, p)
}

// ChangeProvider changes the provider of that name: see [manage.ChangeProvider].
func (r Remote) ChangeProvider(ctx context.Context, p manage.Provider) (manage.Provider, error) {
	return asked(ctx, r, manage.ChangeProvider, p)
}

// EnableProvider offers a provider to users, or does not.
func (r Remote) EnableProvider(ctx context.Context, name string, enabled bool) (manage.Provider, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return manage.EnableProvider(ctx, r, name, enabled)
}

// MediatorSessions are the sign-ins at providers that fit a query.
func (r Remote) MediatorSessions(ctx context.Context, q manage.MediatorSessionQuery) (manage.MediatorSessionList, error) {
	return asked(ctx, r, manage.MediatorSessions, q)
}

// Gateway is the state of the gateway in front of the API.
func (r Remote) Gateway(ctx context.Context) (manage.Gateway, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return manage.GatewayState(ctx, r)
}

// switchTime is how long it may take to switch the firewall: it reads its rules first.
const switchTime = 20 * time.Second

// SwitchWAF switches the gateway's web application firewall.
func (r Remote) SwitchWAF(ctx context.Context, on bool) error {
	ctx, cancel := context.WithTimeout(ctx, switchTime)
	defer cancel()
	_, err := manage.SwitchWAF(ctx, r, on)
	return err
}

// Quotas are what the customers of the rates API have used.
func (r Remote) Quotas(ctx context.Context) ([]manage.Quota, error) {
	return get[[]manage.Quota](ctx, r, manage.QuotasPath)
}
