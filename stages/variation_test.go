package main

import (
	"strings"
	"testing"
	"time"

	"keyladder/stages/catalog"
)

func TestVary(t *testing.T) {
	t.Parallel()
	stage, _ := catalog.All().Lookup("hidden-secrets")
	for _, test := range []struct {
		settings []string
		same     func(catalog.Policies) bool
		err      string
	}{
		{nil, func(p catalog.Policies) bool { return p == stage.Policies }, ""},
		{[]string{"call.bodies=sealed-portions", "api.secret_overlap=30s"}, func(p catalog.Policies) bool {
			overlap, _ := p.API.SecretOverlap.Value()
			return p.Call.Bodies == catalog.SealedPortions && overlap == 30*time.Second && p.Call.Nonces == stage.Call.Nonces
		}, ""},
		{[]string{"package.release=3"}, func(p catalog.Policies) bool { return p.Package.Release == 3 }, ""},
		{[]string{"call.bodies"}, nil, "is not FIELD=VALUE"},
		{[]string{"call.body=plain"}, nil, `no policy has a field "call.body"`},
		{[]string{"bodies=plain"}, nil, `no policy has a field "bodies"`},
		{[]string{"call.bodies=engraved"}, nil, `call.bodies "engraved"`},
		{[]string{"call.app_proof=app-key"}, nil, "call.nonces: nonces are remembered, but requests carry none"},
		{[]string{"package.release=two"}, nil, "package.release"},
		{[]string{"api.secret_overlap=soon"}, nil, "api.secret_overlap"},
	} {
		set, err := vary(stage, test.settings)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v, want %s", test.settings, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", test.settings, err)
			continue
		}
		if varied, _ := set.Lookup("hidden-secrets"); !test.same(varied.Policies) {
			t.Errorf("%q: %+v", test.settings, varied.Policies)
		}
	}
}
