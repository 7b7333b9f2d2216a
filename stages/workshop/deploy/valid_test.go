package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/stages/workshop/deploy"
)

// answers is a management API: what it answers, by path.
type answers map[string]any

func (a answers) Do(_ context.Context, _, path string, _, out any) error {
	answer, ok := a[path]
	if !ok {
		return fmt.Errorf("nobody asks for %s", path)
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

// A release carries the newest key that is not revoked, with its secret.
func TestValid(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	app := func(id string, keys ...manage.Key) manage.App { return manage.App{ID: id, Keys: keys} }
	key := func(id string, day int, revoked bool) manage.Key {
		k := manage.Key{ID: id, CreatedAt: begin.AddDate(0, 0, day)}
		if revoked {
			k.RevokedAt = &begin
		}
		return k
	}
	staffs := app("harbour-ops", key("harbour-ops", 0, false))
	got, err := deploy.Valid(t.Context(), answers{
		"/apps": []manage.App{
			app("harbour-mobile", key("harbour-mobile", 0, true), key("k2", 2, false), key("k1", 1, false), key("k3", 3, true)),
			app("harbour-kiosk"), // of which there is no package
			staffs,
		},
		"/keys/k2/secret":          manage.Secret{Secret: "of k2"},
		"/keys/harbour-ops/secret": manage.Secret{Secret: "of the staff"},
	}, answers{
		"/keys/harbour-mobile/secret": manage.Secret{Secret: "of OAuth"},
		"/keys/harbour-ops/secret":    manage.Secret{Secret: "of the staff's OAuth"},
	})
	want := map[string]deploy.Credentials{"harbour-mobile": {Key: "k2", Secret: "of k2", ClientSecret: "of OAuth"}, "harbour-ops": {Key: "harbour-ops", Secret: "of the staff", ClientSecret: "of the staff's OAuth"}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = deploy.Valid(t.Context(), answers{"/apps": []manage.App{app("harbour-mobile", key("harbour-mobile", 0, true)), staffs}}, answers{})
	if !errors.Is(err, deploy.ErrNoKey) {
		t.Errorf("all keys revoked: %v", err)
	}
}
