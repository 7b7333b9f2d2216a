package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
)

// Program is the management API of one program. [*manage.Client] is one.
type Program interface {
	// Do sends in as JSON (nil: no body) and decodes the answer into out (nil: it is
	// dropped). A refusal is a [*problem.Problem]; any other error means that the
	// program did not answer as it should.
	Do(ctx context.Context, method, path string, in, out any) error
}

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
	program Program
}

func (r remote) do(ctx context.Context, method, path string, in, out any) error {
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
	return r.do(ctx, method, path, in, out)
}

func (r remote) traffic(ctx context.Context, after uint64, wait time.Duration) ([]traffic.Message, error) {
	query := url.Values{"after": {strconv.FormatUint(after, 10)}, "wait": {strconv.Itoa(int(wait.Seconds()))}}
	var messages []traffic.Message
	err := r.do(ctx, http.MethodGet, "/traffic?"+query.Encode(), nil, &messages)
	return messages, err
}

func (r remote) apps(ctx context.Context) ([]manage.App, error) {
	var apps []manage.App
	err := r.quick(ctx, http.MethodGet, "/apps", nil, &apps)
	return apps, err
}

func (r remote) usage(ctx context.Context, days int) ([]manage.Usage, error) {
	var usage []manage.Usage
	err := r.quick(ctx, http.MethodGet, "/usage?days="+strconv.Itoa(days), nil, &usage)
	return usage, err
}

func (r remote) phone(ctx context.Context) (manage.Phone, error) {
	var phone manage.Phone
	err := r.quick(ctx, http.MethodGet, "/phone", nil, &phone)
	return phone, err
}
