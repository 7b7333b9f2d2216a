package server_test

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/attestation"
)

// answered is an answer to evidence, as whoever sent it sees it.
type answered struct {
	reply
	token string
	took  time.Duration
}

func (w *world) answered(t testing.TB, stage string, o attestation.Opening, pkg []byte) answered {
	t.Helper()
	session := w.opens(t, stage, o)
	sent := string(testenv.Must[[]byte](t)(json.Marshal(evidence(t, pkg, session.Challenge, attestation.Findings{}))))
	begin := time.Now()
	r := w.call(t, http.MethodPost, session.path, sent)
	took := time.Since(begin)
	return answered{r, decoded[attestation.Session](t, r, http.StatusOK).Result.Token, took}
}

// shape is what can be seen of an answer without the secret: all but what is random.
func (a answered) shape(t testing.TB) map[string]any {
	t.Helper()
	header := testenv.Must[[]byte](t)(base64.RawURLEncoding.DecodeString(strings.Split(a.token, ".")[0]))
	var lengths []int
	for _, part := range strings.Split(a.token, ".") {
		lengths = append(lengths, len(part))
	}
	fields := a.Header.Clone()
	fields.Del("Date")
	return map[string]any{"status": a.Status, "fields": fields, "body": len(a.body), "token": lengths, "JOSE": string(header)}
}

// A failing answer looks as a good one, whatever it fails for: status, fields, length of the body
// and of the token's parts, and the token's header.
func TestFailingAnswersLookTheSame(t *testing.T) {
	t.Parallel()
	w := start(t)
	changed := slices.Clone(w.pkg)
	changed[1000]++
	banned := mine()
	banned.Device = "device-2"
	for stage := range map[string]bool{byHash: true, byChallenge: true} {
		good := w.answered(t, stage, mine(), w.pkg)
		if !w.good(t, stage, good.token) {
			t.Fatal("the genuine app's token is not good")
		}
		w.attests(t, stage, banned, w.pkg, attestation.Findings{})
		devices := testenv.Must[manage.AttestedDeviceList](t)(manage.AttestedDevices(t.Context(), w.admin, manage.AttestedDeviceQuery{Stage: stage, Search: banned.Device}))
		testenv.Must[manage.AttestedDevice](t)(manage.BanAttestedDevice(t.Context(), w.admin, devices.Devices[0].ID, false))
		other := mine()
		other.Release = 3
		for name, failing := range map[string]answered{
			"a changed package":   w.answered(t, stage, mine(), changed),
			"a banned device":     w.answered(t, stage, banned, w.pkg),
			"an unknown release":  w.answered(t, stage, other, w.pkg),
			"the good one, again": w.answered(t, stage, mine(), w.pkg),
		} {
			if w.good(t, stage, failing.token) != (name == "the good one, again") {
				t.Errorf("%s, %s: good is the wrong way round", stage, name)
			}
			if want, got := testenv.Must[[]byte](t)(json.Marshal(good.shape(t))), testenv.Must[[]byte](t)(json.Marshal(failing.shape(t))); string(want) != string(got) {
				t.Errorf("%s, %s:\n%s, and a good one\n%s", stage, name, got, want)
			}
		}
	}
}

// A failing answer takes as long as a good one: the two samples of times, taken in turns, are of one
// distribution.
//
// How far two samples of n of one distribution are apart (Kolmogorov and Smirnov) is above
// sqrt(ln(2/p)/n) with a probability of p. Here that is one in a million.
func TestFailingAnswersTakeAsLong(t *testing.T) {
	t.Parallel()
	n := 1000
	if testing.Short() {
		n = 200
	}
	w := start(t)
	changed := slices.Clone(w.pkg)
	changed[1000]++
	for stage := range map[string]bool{byHash: true, byChallenge: true} {
		var good, failing []float64
		for range n {
			take := []func(){
				func() { good = append(good, float64(w.answered(t, stage, mine(), w.pkg).took)) },
				func() { failing = append(failing, float64(w.answered(t, stage, mine(), changed).took)) },
			}
			rand.Shuffle(len(take), func(i, j int) { take[i], take[j] = take[j], take[i] })
			for _, one := range take {
				one()
			}
		}
		const millisecond = float64(time.Millisecond)
		most := math.Sqrt(math.Log(2/1e-6) / float64(n))
		slower := apart(good, plus(failing, millisecond))
		d := apart(good, failing)
		t.Logf("%s: medians %.2f and %.2f ms, apart by %.3f (%.3f are too many); were failing 1 ms slower, by %.3f",
			stage, median(good)/millisecond, median(failing)/millisecond, d, most, slower)
		if d > most {
			t.Errorf("%s: the times of good and failing answers are apart by %.3f, and %.3f are too many", stage, d, most)
		}
	}
}

// apart is the two-sample Kolmogorov–Smirnov statistic: the largest difference of the two empirical
// distributions.
func apart(a, b []float64) (most float64) {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	for i, j := 0, 0; i < len(a) && j < len(b); {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		most = max(most, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return most
}

func plus(values []float64, by float64) (sums []float64) {
	for _, v := range values {
		sums = append(sums, v+by)
	}
	return sums
}

func median(values []float64) float64 { return slices.Sorted(slices.Values(values))[len(values)/2] }

// The statistic by hand.
func TestApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3}, []float64{1, 2, 3}, 0},
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, 1},
		{[]float64{1, 2, 3, 4}, []float64{3, 4, 5, 6}, 0.5},
	} {
		if got := apart(tt.a, tt.b); got != tt.want {
			t.Errorf("%v and %v are apart by %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}
