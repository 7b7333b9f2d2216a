package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/deployment"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/bench"
)

// Every stage that is built can be measured at every path, and nothing of it stays.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server and measures it")
	}
	t.Parallel()
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "stages", "bench", "--json", "--seconds", "0.02")
	c.Env = append(os.Environ(), "TMPDIR="+dir)
	var out, told bytes.Buffer
	c.Stdout, c.Stderr = &out, &told
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, told.String())
	}
	var result struct {
		Calls   []map[string]any
		Bases   []map[string]any
		Machine map[string]any

		Operations map[string]float64
		Senders    []map[string]any
		Proofs     map[string]float64
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, path := range []string{"/v1/rates", "/v1/accounts/HB-1001"} {
		for _, stage := range catalog.All().Built() {
			want = append(want, stage.Slug+" "+path)
		}
	}
	for _, call := range result.Calls {
		got = append(got, call["stage"].(string)+" "+call["path"].(string))
		if ratio := call["ratio"].(float64); ratio <= 0 || call["per_second"].(float64) <= 0 {
			t.Errorf("measured: %v", call)
		}
		if members := slices.Sorted(maps.Keys(call)); !slices.Equal(members, []string{"added_us", "path", "per_second", "ratio", "stage", "transport"}) {
			t.Errorf("the members are %q", members)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("measured are %q, want %q", got, want)
	}
	if cores, _ := result.Machine["cores"].(float64); cores < 1 || len(result.Bases) == 0 {
		t.Errorf("machine %v, bases %v", result.Machine, result.Bases)
	}
	if members := slices.Sorted(maps.Keys(result.Operations)); !slices.Equal(members, []string{"hs256_us", "sign_us", "verify_us"}) {
		t.Errorf("the operations are %v", result.Operations)
	}
	proven := slices.DeleteFunc(catalog.All().Built(), func(s catalog.Stage) bool { return s.Call.Sender == catalog.AnySender })
	if len(result.Senders) != 2*len(proven) || len(proven) > 0 && result.Proofs["bytes_per"] <= 0 {
		t.Errorf("%d stages have proofs of the sender, and measured are %v, %v", len(proven), result.Senders, result.Proofs)
	}
	if !strings.Contains(told.String(), "[5/5] rounds") {
		t.Errorf("the progress is\n%s", told.String())
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

// What can't be measured is said at once.
func TestBenchRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--stage", "no-such-stage"}, "no-such-stage"},
		{[]string{"--path", "/v1/transfers"}, "is not measured: the paths are /v1/rates and /v1/accounts/HB-1001"},
		{[]string{"--seconds", "0"}, "--seconds must be"},
		{[]string{"--keep", "--data", "no-such-folder"}, "no-such-folder"},
	} {
		c := benchCommand()
		c.SetArgs(tt.args)
		c.SilenceErrors, c.SilenceUsage = true, true
		if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.args, err, tt.want)
		}
	}
}

// What is kept is what was measured, with the time, in place of what was kept before.
func TestKeepBench(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writer, err := deployment.NewWriter(dir, deployment.Admin, "test", time.Now(), deployment.Addresses{})
	if err == nil {
		err = writer.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	folder, err := deployment.Open(dir, deployment.Admin)
	if err != nil {
		t.Fatal(err)
	}
	for _, added := range []float64{10, 20} {
		if err := keepBench(folder, bench.Result{Calls: []bench.Call{{Stage: "tls", Path: bench.Account, AddedUS: added}}}); err != nil {
			t.Fatal(err)
		}
		var kept struct {
			Measured time.Time
			Calls    []bench.Call
		}
		data, err := folder.Read(deployment.BenchFile)
		if err == nil {
			err = json.Unmarshal(data, &kept)
		}
		if err != nil || len(kept.Calls) != 1 || kept.Calls[0].AddedUS != added || time.Since(kept.Measured).Abs() > time.Minute {
			t.Errorf("kept is %s, %v", data, err)
		}
	}
	if _, err := deployment.Open(dir, deployment.Admin); err != nil {
		t.Errorf("the folder can't be used any more: %v", err)
	}
}
