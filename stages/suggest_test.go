package main

import (
	"slices"
	"testing"
)

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
