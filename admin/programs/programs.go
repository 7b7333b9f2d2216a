package programs

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/problem"
)

// Patience is how long a page waits for a program before it is shown without it.
const Patience = 3 * time.Second

// Programs are the management APIs of programs, by their roles.
type Programs map[deployment.Role]manage.Doer

// Of are the programs of a deployment.
func Of[D manage.Doer](apis map[deployment.Role]D) Programs {
	programs := Programs{}
	for role, api := range apis {
		programs[role] = api
	}
	return programs
}

// Remote is one of them.
func (p Programs) Remote(role deployment.Role) Remote { return Remote{Role: role, Program: p[role]} }

// All are all, in the order of the table of programs.
func (p Programs) All() []Remote { return p.of(deployment.Managed()) }

// Servers are those that clients call, each after those that it needs.
func (p Programs) Servers() []Remote { return p.of(deployment.Servers()) }

func (p Programs) of(roles []deployment.Role) []Remote {
	var of []Remote
	for _, role := range roles {
		if p[role] != nil {
			of = append(of, p.Remote(role))
		}
	}
	return of
}

// Title begins a sentence about a program.
func Title(role deployment.Role) string {
	program, _ := deployment.Of(role)
	return program.Title
}

// WhatToDo is what an admin does where the program does not answer.
func WhatToDo(role deployment.Role) string {
	return "Check that it runs. With Docker: “docker compose up -d " + string(role) + "” starts it and “docker compose logs " +
		string(role) + "” shows what it said. Without: restart “go run ./stages up”. This page works again as soon as it answers."
}

// Silence means that a program gave no usable answer.
type Silence struct {
	Program deployment.Role
	Err     error
}

func (s *Silence) Error() string { return Title(s.Program) + " does not answer: " + s.Err.Error() }
func (s *Silence) Unwrap() error { return s.Err }

// Explain says it on a page.
func (s *Silence) Explain() (status int, title, text string) {
	return http.StatusBadGateway, Title(s.Program) + " does not answer", WhatToDo(s.Program)
}

// Remote asks one program. A refusal of the program is a
// [problem.Problem]; that it gave no usable answer is a [Silence].
type Remote struct {
	Role    deployment.Role
	Program manage.Doer
}

// Do implements [manage.Doer].
func (r Remote) Do(ctx context.Context, method, path string, in, out any) error {
	err := r.Program.Do(ctx, method, path, in, out)
	if err == nil {
		return nil
	}
	var p *problem.Problem
	if errors.As(err, &p) && p.Status < http.StatusInternalServerError {
		return p
	}
	return &Silence{Program: r.Role, Err: err}
}

// Quick is Do with the patience of a page.
func (r Remote) Quick(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return r.Do(ctx, method, path, in, out)
}

// get is a GET with the patience of a page.
func get[T any](ctx context.Context, r Remote, path string) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return manage.Get[T](ctx, r, path)
}

// asked asks for a list with the patience of a page.
func asked[Q, L any](ctx context.Context, r Remote, ask func(context.Context, manage.Doer, Q) (L, error), about Q) (L, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return ask(ctx, r, about)
}

// Apps are the registered apps and partners.
func (r Remote) Apps(ctx context.Context) ([]manage.App, error) {
	return get[[]manage.App](ctx, r, "/apps")
}

// Usage is who called what, how often, in so many days.
func (r Remote) Usage(ctx context.Context, days int) ([]manage.Usage, error) {
	return get[[]manage.Usage](ctx, r, "/usage?days="+strconv.Itoa(days))
}

// Tiers are the tiers of service, the smallest first.
func (r Remote) Tiers(ctx context.Context) ([]manage.Tier, error) {
	return get[[]manage.Tier](ctx, r, "/tiers")
}

// Callers are from where calls came.
func (r Remote) Callers(ctx context.Context, q manage.SourceQuery) (manage.SourceList, error) {
	ask := url.Values{
		"kind": {string(q.Kind)}, "days": {strconv.Itoa(q.Days)}, "stage": {q.Stage}, "app": {q.App}, "search": {q.Search},
		"limit": {strconv.Itoa(q.Limit)},
	}
	if q.From > 0 {
		ask.Set("from", strconv.Itoa(q.From))
	}
	return get[manage.SourceList](ctx, r, "/usage/sources?"+ask.Encode())
}

// Users are those who can sign in and fit a query.
func (r Remote) Users(ctx context.Context, q manage.UserQuery) (manage.UserList, error) {
	return asked(ctx, r, manage.Users, q)
}

// Sessions are those that are good now and fit a query.
func (r Remote) Sessions(ctx context.Context, q manage.SessionQuery) (manage.SessionList, error) {
	return asked(ctx, r, manage.Sessions, q)
}

// Tokens are the access tokens that fit a query.
func (r Remote) Tokens(ctx context.Context, q manage.TokenQuery) (manage.TokenList, error) {
	return asked(ctx, r, manage.Tokens, q)
}

// Families are the families of refresh tokens that fit a query.
func (r Remote) Families(ctx context.Context, q manage.FamilyQuery) (manage.FamilyList, error) {
	return asked(ctx, r, manage.Families, q)
}

// Consents are what users allow clients that fits a query.
func (r Remote) Consents(ctx context.Context, q manage.ConsentQuery) (manage.ConsentList, error) {
	return asked(ctx, r, manage.Consents, q)
}

// Secret is the secret of a key or a client.
func (r Remote) Secret(ctx context.Context, key string) (manage.Secret, error) {
	return get[manage.Secret](ctx, r, "/keys/"+url.PathEscape(key)+"/secret")
}

// TokenCalls are what was done with an access token, the latest first.
func (r Remote) TokenCalls(ctx context.Context, id string) ([]manage.TokenCall, error) {
	return asked(ctx, r, manage.TokenCalls, id)
}

// RevocationChecks say at which stages revoked access tokens are refused.
func (r Remote) RevocationChecks(ctx context.Context) ([]manage.RevocationCheck, error) {
	return get[[]manage.RevocationCheck](ctx, r, "/revocation-checks")
}

// Examine asks what each check says of a text that may be an access token.
func (r Remote) Examine(ctx context.Context, asked manage.TokenToExamine) (manage.TokenExamination, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	return manage.Post[manage.TokenExamination](ctx, r, "/tokens/examine", asked)
}

// SigningKeys are the keys that access tokens are, or were, signed with.
func (r Remote) SigningKeys(ctx context.Context) ([]manage.SigningKey, error) {
	return get[[]manage.SigningKey](ctx, r, "/signing-keys")
}

// Devices are the registered installations that fit a query.
func (r Remote) Devices(ctx context.Context, q manage.DeviceQuery) (manage.DeviceList, error) {
	return asked(ctx, r, manage.Devices, q)
}

// Phone is what the phone uses and has installed.
func (r Remote) Phone(ctx context.Context) (manage.Phone, error) {
	return get[manage.Phone](ctx, r, "/phone")
}
