package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"keyladder/internal/manage"
	"keyladder/stages/mechanism/attestation"
)

// BenchmarkAttestation is a round of attestation by challenge: a session, the app's answer, and what
// the service makes of it, over TLS, with its wait for the disk. It costs the same whatever the size
// of the package is. The app's share is in it.
func BenchmarkAttestation(b *testing.B) {
	for _, megabytes := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(megabytes, "MB"), func(b *testing.B) {
			w := deploy(b)
			pkg := pack(b, appPackage, 3, noise(byte(megabytes), megabytes*1_000_000), developer)
			w.publish(b, "app-3.pkg", pkg)
			w.open(b)
			o := mine()
			o.Release = 3
			measurement := must[attestation.Measurement](b)(attestation.Measure(bytes.NewReader(pkg)))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				var last attestation.Result
				for pb.Next() {
					session := w.opens(b, byChallenge, o)
					var found attestation.Findings
					evidence := attestation.Evidence{Measurement: measurement, Findings: &found}
					evidence.Answer = must[[]byte](b)(session.Challenge.Answer(bytes.NewReader(pkg), int64(len(pkg)), found))
					answer := w.call(b, http.MethodPost, session.path, evidence)
					var complete attestation.Session
					if err := json.Unmarshal(answer.body, &complete); err != nil || complete.Result == nil {
						b.Fatalf("%s", answer.body)
					}
					last = *complete.Result
				}
				if last.Token != "" && !w.good(b, byChallenge, last.Token) {
					b.Errorf("the token is not good: %+v", must[manage.Attestation](b)(manage.AttestationBy(b.Context(), w.admin, last.Reference)).Claims)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attestations/s")
		})
	}
}
