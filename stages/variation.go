package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"keyladder/internal/program"
	"keyladder/stages/catalog"
)

// vary is the catalog with fields of one stage's policies decided otherwise, each given as
// FIELD=VALUE: call.bodies=sealed-portions. It refuses what makes no sense.
func vary(stage catalog.Stage, settings []string) (catalog.Set, error) {
	varied := stage.Policies
	for _, setting := range settings {
		field, value, ok := strings.Cut(setting, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not FIELD=VALUE", setting)
		}
		var err error
		if varied, err = decide(varied, field, value); err != nil {
			return nil, err
		}
	}
	if wrong := append(varied.Unknown(), varied.Contradictions()...); len(wrong) > 0 {
		return nil, fmt.Errorf("the stage %s can't be varied so: %s", stage.Slug, strings.Join(wrong, "; "))
	}
	return catalog.All().With(stage.Slug, func(p *catalog.Policies) { *p = varied }), nil
}

// decide is the policies with one field changed, by the names that JSON has for both.
func decide(p catalog.Policies, field, value string) (catalog.Policies, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	var all map[string]map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		return p, err
	}
	policy, name, _ := strings.Cut(field, ".")
	if _, ok := all[policy][name]; !ok {
		var fields []string
		for _, d := range p.Decisions() {
			fields = append(fields, d.Field)
		}
		return p, fmt.Errorf("no policy has a field %q%s", field, program.DidYouMean(field, fields))
	}
	if _, number := all[policy][name].(float64); number {
		all[policy][name] = json.RawMessage(value)
	} else {
		all[policy][name] = value
	}
	if data, err = json.Marshal(all); err != nil {
		return p, fmt.Errorf("%s: %q: %w", field, value, err)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, fmt.Errorf("%s: %q: %w", field, value, err)
	}
	return p, nil
}
