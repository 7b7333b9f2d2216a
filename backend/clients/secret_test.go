package clients_test

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyladder/backend/clients"
	"keyladder/internal/manage"
	"keyladder/stages/mechanism/pin"
)

func secretOf(t *testing.T, r *clients.Registry, key string) string {
	t.Helper()
	_, found, err := r.Lookup(key)
	if err != nil {
		t.Fatal(err)
	}
	return found.Secret().Text()
}

// TestSecrets are seeded, made with each key, rotated one by one, and survive restarts.
func TestSecrets(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	if secret := secretOf(t, r, "harbour-mobile"); secret != "seeded" {
		t.Errorf("seeded: %q", secret)
	}
	issued, err := r.Issue(ctx, "harbour-mobile")
	if err != nil {
		t.Fatal(err)
	}
	registered, err := r.Register(ctx, app(func(a *manage.App) { a.ID = "tester" }))
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := r.RotateSecret(ctx, "harbour-mobile")
	if err != nil || rotated.Key != "harbour-mobile" {
		t.Fatal(rotated.Key, err)
	}
	seen := map[string]bool{"seeded": true}
	for _, key := range []string{"harbour-mobile", issued.ID, registered.ID} {
		secret := secretOf(t, r, key)
		if seen[secret] || len(secret) < 52 {
			t.Errorf("%s: a secret of %d characters, new: %v", key, len(secret), !seen[secret])
		}
		seen[secret] = true
		if told, err := r.Secret(key); err != nil || told.Secret != secret {
			t.Errorf("%s: told %v", key, err)
		}
		if again := secretOf(t, open(t, path), key); again != secret {
			t.Errorf("%s: another secret after a restart", key)
		}
	}
	if secretOf(t, r, "harbour-mobile") != rotated.Secret {
		t.Error("the secret that was told is not the one in force")
	}
	if err := r.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if secret := secretOf(t, r, "harbour-mobile"); secret != "seeded" {
		t.Errorf("after a reset: %q", secret)
	}
}

// An old secret is accepted for the overlap that the caller, a stage, asks for, at most for as
// long as it is kept; each rotation has an overlap of its own.
func TestReplacedSecrets(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "registry.db")
	r := open(t, path)
	begin := time.Now().UTC()
	var names []string
	named := map[string]string{"seeded": "0"}
	rotate := func(r *clients.Registry, minute int) {
		t.Helper()
		r.At(begin.Add(time.Duration(minute) * time.Minute))
		secret, err := r.RotateSecret(ctx, "harbour-mobile")
		if err != nil {
			t.Fatal(err)
		}
		named[secret.Secret] = strconv.Itoa(len(named))
	}
	accepted := func(r *clients.Registry, minute int, overlap time.Duration) string {
		_, key, err := r.Lookup("harbour-mobile")
		if err != nil {
			t.Fatal(err)
		}
		names = nil
		for _, secret := range key.Secrets(begin.Add(time.Duration(minute)*time.Minute), overlap) {
			names = append(names, named[secret.Text()])
		}
		return strings.Join(names, " ")
	}
	rotate(r, 0)
	rotate(r, 10)
	for _, r := range []*clients.Registry{r, open(t, path)} { // it survives a restart
		for _, tt := range []struct {
			minute  int
			overlap time.Duration
			want    string
		}{
			{10, 0, "2"},
			{10, 5 * time.Minute, "2 1"},
			{14, 5 * time.Minute, "2 1"},
			{15, 5 * time.Minute, "2"},
			{11, 15 * time.Minute, "2 1 0"},
			{15, 15 * time.Minute, "2 1"},
			{25, 15 * time.Minute, "2"},
		} {
			if got := accepted(r, tt.minute, tt.overlap); got != tt.want {
				t.Errorf("at minute %d with an overlap of %v: %s, want %s", tt.minute, tt.overlap, got, tt.want)
			}
		}
	}
	rotate(r, 65) // an hour is kept: of the first, that is over
	if got := accepted(r, 65, 100*time.Hour); got != "3 2 1" {
		t.Errorf("kept: %s", got)
	}
	if err := r.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	if got := accepted(r, 65, 100*time.Hour); got != "0" {
		t.Errorf("after a reset: %s", got)
	}
}

func TestPartners(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	r := fresh(t)
	certificate := string(pin.Pin("sha256/" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	partner := app(func(a *manage.App) {
		a.ID, a.Kind, a.Scopes, a.Certificates = "books", manage.Partner, []string{"settlements:read"}, []string{certificate}
	})
	state := func() error {
		found, _, err := r.Partner(certificate)
		if err == nil && found.ID != "books" {
			t.Errorf("the certificate is that of %q", found.ID)
		}
		return err
	}
	if err := state(); !errors.Is(err, clients.ErrUnknown) {
		t.Errorf("before: %v", err)
	}
	if _, err := r.Register(ctx, partner); err != nil {
		t.Fatal(err)
	}
	if err := state(); err != nil {
		t.Errorf("registered: %v", err)
	}
	if got := lookup(r, "books"); got != "unknown" {
		t.Errorf("a partner's key is %s", got)
	}
	if _, err := r.Secret("books"); !errors.Is(err, clients.ErrNoKey) {
		t.Errorf("a partner's secret: %v", err)
	}
	if _, err := r.RotateSecret(ctx, "books"); !errors.Is(err, clients.ErrNoKey) {
		t.Errorf("a partner's new secret: %v", err)
	}
	for _, kind := range []manage.Kind{manage.MobileApp, manage.Partner} {
		other := partner
		other.ID, other.Kind = "other", kind
		if kind == manage.MobileApp {
			other.Scopes = nil
		}
		if _, err := r.Register(ctx, other); !errors.Is(err, clients.ErrPin) {
			t.Errorf("somebody else with that certificate: %v", err)
		}
	}
	if _, err := r.Revoke(ctx, "books"); err != nil {
		t.Fatal(err)
	}
	if err := state(); !errors.Is(err, clients.ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := r.Issue(ctx, "books"); err != nil {
		t.Fatal(err)
	}
	if err := state(); err != nil {
		t.Errorf("with a new key: %v", err)
	}
}
