package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"keyladder/internal/testenv"
	"keyladder/stages/mechanism/attestation"
)

// BenchmarkAttestation is a round of attestation by challenge, one app after the other: a session,
// the app's answer, and what the service makes of it, over TLS, with its wait for the disk. Packages
// of three sizes take turns, so that whatever else the machine does hits them alike; their medians
// say that it costs the same whatever the size of the package is.
func BenchmarkAttestation(b *testing.B) {
	sizes := []int{1, 10, 100} // MB
	w := deploy(b)
	var pkgs [][]byte
	var measurements []attestation.Measurement
	for i, megabytes := range sizes {
		pkg := pack(b, appPackage, 10+i, noise(byte(i), megabytes*1_000_000), developer)
		w.publish(b, fmt.Sprintf("app-%d.pkg", 10+i), pkg)
		pkgs = append(pkgs, pkg)
		measurements = append(measurements, testenv.Must[attestation.Measurement](b)(attestation.Measure(bytes.NewReader(pkg))))
	}
	w.open(b)
	took := make([][]float64, len(sizes)) // milliseconds
	for b.Loop() {
		for i, pkg := range pkgs {
			begin := time.Now()
			session := w.opens(b, byChallenge, attestation.Opening{ClientID: app, Release: 10 + i, Device: "device-1"})
			evidence := attestation.Evidence{Measurement: measurements[i], Findings: &attestation.Findings{}}
			evidence.Answer = testenv.Must[[]byte](b)(session.Challenge.Answer(bytes.NewReader(pkg), int64(len(pkg)), attestation.Findings{}))
			answer := w.call(b, http.MethodPost, session.path, evidence)
			took[i] = append(took[i], float64(time.Since(begin))/float64(time.Millisecond))
			var complete attestation.Session
			if err := json.Unmarshal(answer.body, &complete); err != nil || complete.Result == nil || !w.good(b, byChallenge, complete.Result.Token) {
				b.Fatalf("%s", answer.body)
			}
		}
	}
	for i, megabytes := range sizes {
		b.ReportMetric(median(took[i]), fmt.Sprintf("ms-at-%dMB", megabytes))
	}
}
