package guard_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
)

// fields are the fields of policies, each as something that can be set.
func fields(p *catalog.Policies) (all []reflect.Value) {
	for i := range reflect.ValueOf(p).Elem().NumField() {
		policy := reflect.ValueOf(p).Elem().Field(i)
		for j := range policy.NumField() {
			all = append(all, policy.Field(j))
		}
	}
	return all
}

// refuses makes a guard of stages that must not be guarded, and looks for what is wrong in
// the error.
func (w *world) refuses(stages catalog.Set, wants ...string) {
	w.Helper()
	w.config.Stages = stages
	_, err := guard.New(w.config)
	if err == nil {
		w.Errorf("a guard was made; want an error that says %q", wants)
		return
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			w.Errorf("want %q in: %v", want, err)
		}
	}
}

// TestMissingFieldsAreRefused clears each field of each policy, and all of them.
func TestMissingFieldsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, stage := range catalog.All().Built() {
		for i, decision := range stage.Decisions() {
			w.refuses(catalog.All().With(stage.Slug, func(p *catalog.Policies) { fields(p)[i].SetZero() }),
				"stage "+stage.Slug+": "+decision.Field+" is not decided")
		}
		w.refuses(catalog.All().With(stage.Slug, func(p *catalog.Policies) { *p = catalog.Policies{} }),
			"call.transport is not decided", "api.secret_overlap is not decided", "package.release is not decided")
	}
}

// TestUnknownValuesAreRefused gives each field a value that nobody has declared.
func TestUnknownValuesAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for _, stage := range catalog.All().Built() {
		for i, decision := range stage.Decisions() {
			if fields(&catalog.Policies{})[i].Kind() == reflect.String {
				w.refuses(catalog.All().With(stage.Slug, func(p *catalog.Policies) { fields(p)[i].SetString("bogus") }),
					"stage "+stage.Slug+": "+decision.Field+`: nobody knows the value "bogus"`)
			}
		}
	}
}

// TestStagesThatAreNotBuilt may be decided already, and no guard minds what it does not serve.
func TestStagesThatAreNotBuilt(t *testing.T) {
	t.Parallel()
	newWorld(t, catalog.All())
}

func TestNewRefusesHalfAGuard(t *testing.T) {
	t.Parallel()
	if _, err := guard.New(guard.Config{}); err == nil {
		t.Error("a guard without anything was made")
	}
}

// TestContradictoryPolicies are those whose parts do not go together: no guard is made.
func TestContradictoryPolicies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, catalog.All())
	for name, test := range map[string]struct {
		stage  string
		change func(*catalog.Policies)
		field  string
	}{
		"signed, but nothing about nonces": {"hmac", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoNonces }, "call.nonces"},
		"nonces without signatures":        {"tls", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesRemembered }, "call.nonces"},
		"sealed without signatures":        {"tls", func(p *catalog.Policies) { p.Call.Bodies = catalog.SealedBodies }, "call.bodies"},
		"signed fields without signatures": {"tls", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfCall }, "call.binding"},
		"bound sessions without sessions":  {"hmac", func(p *catalog.Policies) { p.Call.Binding = catalog.SessionOfApp }, "call.binding"},
		"bound to devices without devices": {"user-session", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }, "call.binding"},
		"users' rights without users":      {"hmac", func(p *catalog.Policies) { p.API.Authorization = catalog.AppAndUser }, "api.authorization"},
		"old secrets without secrets":      {"tls", func(p *catalog.Policies) { p.API.SecretOverlap = catalog.Decide(time.Minute) }, "api.secret_overlap"},
	} {
		t.Log(name)
		w.refuses(catalog.All().With(test.stage, test.change), "stage "+test.stage+": "+test.field+": ")
	}
}
