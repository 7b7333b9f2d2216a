package bench

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
)

// An answer is over where it says, and only one that was served counts.
func TestLengthOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, answer string
		want         int
		err          string
	}{
		{"nothing yet", "", -1, ""},
		{"half a head", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", -1, ""},
		{"the head", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 41, ""},
		{"another field behind", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: b\r\n\r\nabc", 47, ""},
		{"refused", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 3\r\n\r\nabc", 0, "429 Too Many Requests"},
		{"no length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0, "does not say how long"},
		{"the length is in the body", "HTTP/1.1 200 OK\r\n\r\n\r\nContent-Length: 3", 0, "does not say how long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := lengthOf([]byte(tt.answer))
			if tt.err == "" && (err != nil || got != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%d, %v; want %d, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

// A call takes one whole answer off the connection, in however many pieces it comes.
func TestCall(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
	for _, tt := range []struct {
		name   string
		pieces []string
		err    string
	}{
		{"at once", []string{head + "abc"}, ""},
		{"in pieces", []string{head[:5], head[5:], "a", "bc"}, ""},
		{"two answers", []string{head + "abc" + head}, "more than one answer"},
		{"cut off", []string{head + "ab"}, "ends early"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			near, far := net.Pipe()
			defer near.Close()
			request := []byte("GET / HTTP/1.1\r\n\r\n")
			go func() {
				defer far.Close()
				got := make([]byte, len(request))
				if _, err := far.Read(got); err != nil || !bytes.Equal(got, request) {
					return
				}
				for _, piece := range tt.pieces {
					_, _ = far.Write([]byte(piece))
				}
			}()
			err := newConnection(near).call(request)
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("%v, want %q", err, tt.err)
			}
		})
	}
}

// One sample that something else disturbed does not show in the result.
func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{1, 100, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("the median of %v is %g, want %g", tt.values, got, tt.want)
		}
	}
}

// A stage is compared with what was measured right before it, over the same transport.
func TestResult(t *testing.T) {
	t.Parallel()
	base := &target{handler: Unguarded, path: Rates, transport: "tls", samples: []sampled{{1000, 10}, {500, 20}, {1000, 10}}}
	stage := &target{
		stage: "some", base: base, path: Rates, transport: "tls",
		samples: []sampled{{500, 15}, {250, 25}, {500, 15}}, ratios: []float64{0.5, 0.5, 0.5}, added: []float64{5, 5, 5},
	}
	r := resultOf([]*target{base, stage})
	if len(r.Bases) != 1 || r.Bases[0] != (Base{Handler: Unguarded, Path: Rates, Transport: "tls", PerSecond: 1000, CallUS: 10}) {
		t.Errorf("the bases are %+v", r.Bases)
	}
	if want := (Call{Stage: "some", Path: Rates, Transport: "tls", PerSecond: 500, Ratio: 0.5, AddedUS: 5}); len(r.Calls) != 1 || r.Calls[0] != want {
		t.Errorf("the calls are %+v", r.Calls)
	}
	if r.Machine.Cores < 1 || r.Machine.Go == "" || r.Machine.OS == "" {
		t.Errorf("the machine is %+v", r.Machine)
	}
}

// A proof of the sender is compared with the latest stage before without one whose calls go the same way,
// round by round, and with what its operations add there.
func TestSenders(t *testing.T) {
	t.Parallel()
	policies := func(proof catalog.Sender, gateway catalog.Gateway) (p catalog.Policies) {
		p.Call.Sender, p.Call.Gateway = proof, gateway
		return p
	}
	stages := catalog.Set{
		{Number: 1, Slug: "long-before", Policies: policies(catalog.AnySender, catalog.ThroughGateway)},
		{Number: 2, Slug: "before", Policies: policies(catalog.AnySender, catalog.ThroughGateway)},
		{Number: 3, Slug: "past-it", Policies: policies(catalog.AnySender, catalog.Direct)},
		{Number: 4, Slug: "proven", Policies: policies(catalog.DPoPProofs, catalog.ThroughGateway)},
		{Number: 5, Slug: "signed", Policies: policies(catalog.SignedMessages, catalog.ThroughGateway)},
	}
	targets := []*target{
		{handler: Unguarded, path: Rates, server: []float64{1, 1, 1}},
		{stage: "long-before", path: Rates, server: []float64{1, 1, 1}},
		{stage: "before", path: Rates, server: []float64{100, 500, 100}}, // something disturbed the second round
		{stage: "before", path: Rates, beside: []operation{verifying}, server: []float64{150, 550, 150}},
		{stage: "before", path: Rates, beside: []operation{verifying, signing}, server: []float64{175, 575, 175}},
		{stage: "past-it", path: Rates, server: []float64{1, 1, 1}},
		{stage: "proven", path: Rates, server: []float64{160, 560, 160}},
		{stage: "signed", path: Rates, server: []float64{190, 590, 190}},
		{stage: "signed", path: Account, server: []float64{190}}, // with nothing to compare it with
	}
	got := senders(comparisons(stages, targets))
	want := []Sender{
		{Stage: "proven", Path: Rates, Against: "before", AddedUS: 60, OperationsUS: 50, Factor: 1.2},
		{Stage: "signed", Path: Rates, Against: "before", AddedUS: 90, OperationsUS: 75, Factor: 1.2},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if compared := targetsOf(comparisons(stages, targets)); len(compared) != 5 {
		t.Errorf("%d targets are measured more often, want 5", len(compared))
	}
	if alone := comparisons(stages[2:], targets); alone != nil {
		t.Errorf("without the stage before: %+v", alone)
	}
}

// The server says how much processor time it has used, which a bare operation takes some of.
func TestProcessorTime(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(testenv.Must[bare](t)(newBare()).bareHandler())
	defer server.Close()
	at := addresses{Bare: strings.TrimPrefix(server.URL, "http://")}
	before := testenv.Must[time.Duration](t)(at.used(t.Context()))
	for range 200 {
		r := testenv.Must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil))
		r.Header.Set(operationField, string(verifying))
		testenv.Must[*http.Response](t)(server.Client().Do(r)).Body.Close()
	}
	if used := testenv.Must[time.Duration](t)(at.used(t.Context())) - before; used < time.Millisecond || used > time.Minute {
		t.Errorf("200 verifications took %s", used)
	}
}

// The memory of proofs has a bound, and what it takes there is bounded, too.
func TestFullOfProofs(t *testing.T) { // alone: others use memory as well
	proofs, err := fullOfProofs()
	if err != nil || proofs.Number < 100_000 || proofs.BytesPer < 16 || proofs.BytesPer > 100 {
		t.Errorf("%+v, %v", proofs, err)
	}
}

// A handler carries out the bare operations that a request asks for, each as often as it does, and then
// answers all the same. What they take is what it takes longer with them.
func TestOperations(t *testing.T) {
	t.Parallel()
	done := map[operation]int{}
	counted := bare{}
	for name, do := range testenv.Must[bare](t)(newBare()) {
		counted[name] = func() bool {
			done[name]++
			return do()
		}
	}
	counted["failing"] = func() bool { return false }
	handler := counted.around(http.HandlerFunc(fixed))
	ask := func(operations ...operation) int {
		calls := testenv.Must[[][]byte](t)(simple("localhost", "/").with(operations...)(t.Context(), 1))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, testenv.Must[*http.Request](t)(http.ReadRequest(bufio.NewReader(bytes.NewReader(calls[0])))))
		return answer.Code
	}
	for _, operations := range [][]operation{{}, {nothing}, {verifying}, {verifying, signing}, {macing}} {
		clear(done)
		if code := ask(operations...); code != http.StatusOK || len(done) != len(operations) {
			t.Errorf("%v: %d, and done are %v", operations, code, done)
		}
	}
	for _, unserved := range []operation{"failing", "unknown"} {
		if code := ask(unserved); code != http.StatusInternalServerError {
			t.Errorf("%s: %d", unserved, code)
		}
	}
	targets := bareTargets(addresses{})
	for i, target := range targets {
		for _, us := range []float64{0, 90, 0} { // something disturbed the second
			target.more = append(target.more, us+float64(i))
		}
	}
	if got, want := operationsOf(targets), (Operations{VerifyUS: 1, SignUS: 2, HS256US: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if r := resultOf(targets); len(r.Calls)+len(r.Bases) > 0 {
		t.Errorf("bare operations are among the calls: %+v", r)
	}
}
