package main

import (
	"slices"
	"testing"
)

func TestDidYouMean(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"hmca": "hmac", "HMAC": "hmac", "appid": "app-id", "pinned": "pinned-mtls", "user-sesion": "user-session",
		"nothing-like-it": "", "": "",
	} {
		hint := ""
		if want != "" {
			hint = `; did you mean "` + want + `"?`
		}
		if got := didYouMean(typed, stageNames()); got != hint {
			t.Errorf("%q: %s", typed, got)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	complete := completing(stageNames, attackNames)
	if names, _ := complete(nil, nil, ""); !slices.Contains(names, "hmac") {
		t.Errorf("stages: %v", names)
	}
	if names, _ := complete(nil, []string{"hmac"}, ""); !slices.Contains(names, "replay") {
		t.Errorf("attacks: %v", names)
	}
	if names, _ := complete(nil, []string{"hmac", "replay"}, ""); len(names) > 0 {
		t.Errorf("after the last: %v", names)
	}
}
