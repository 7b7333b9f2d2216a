package programs

import (
	"context"

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
