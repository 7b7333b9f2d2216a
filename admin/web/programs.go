package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
)

// Referee runs the genuine app and the attacks and decides what came of them.
type Referee interface {
	Genuine(ctx context.Context, stage string) manage.Genuine
	Attack(ctx context.Context, stage, attack string) manage.Cell
	// Matrix calls progress after every cell, one call at a time.
	Matrix(ctx context.Context, stages, attacks []string, progress func(done, total int, latest manage.Cell)) manage.Matrix
}

// patience is how long a page waits for a program before it is shown without it.
const patience = 3 * time.Second

// programName says which program it is, for people and for `docker compose`.
type programName string

const (
	resourceProgram programName = "resource"
	phoneProgram    programName = "phone"
	stationProgram  programName = "attacker"
)

func (p programName) title() string {
	switch p {
	case resourceProgram:
		return "The resource server"
	case phoneProgram:
		return "The phone"
	case stationProgram:
		return "The attacker's station"
	}
	return string(p)
}

// silence means that a program gave no usable answer.
type silence struct {
	program programName
	err     error
}

func (s *silence) Error() string { return s.program.title() + " does not answer: " + s.err.Error() }
func (s *silence) Unwrap() error { return s.err }

// remote asks one program and names it in what goes wrong.
type remote struct {
	name    programName
	program manage.Doer
}

// Do implements [manage.Doer].
func (r remote) Do(ctx context.Context, method, path string, in, out any) error {
	err := r.program.Do(ctx, method, path, in, out)
	if err == nil {
		return nil
	}
	var p *problem.Problem
	if errors.As(err, &p) && p.Status < http.StatusInternalServerError {
		return p
	}
	return &silence{program: r.name, err: err}
}

// quick is do with the patience of a page.
func (r remote) quick(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.Do(ctx, method, path, in, out)
}

// get is a GET with the patience of a page.
func get[T any](ctx context.Context, r remote, path string) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return manage.Get[T](ctx, r, path)
}

func (r remote) apps(ctx context.Context) ([]manage.App, error) {
	return get[[]manage.App](ctx, r, "/apps")
}

func (r remote) usage(ctx context.Context, days int) ([]manage.Usage, error) {
	return get[[]manage.Usage](ctx, r, "/usage?days="+strconv.Itoa(days))
}

func (r remote) users(ctx context.Context) ([]manage.User, error) {
	return get[[]manage.User](ctx, r, "/users")
}

func (r remote) sessions(ctx context.Context) ([]manage.Session, error) {
	return get[[]manage.Session](ctx, r, "/sessions")
}

func (r remote) devices(ctx context.Context) ([]manage.Device, error) {
	return get[[]manage.Device](ctx, r, "/devices")
}

func (r remote) phone(ctx context.Context) (manage.Phone, error) {
	return get[manage.Phone](ctx, r, "/phone")
}
