package lab_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/testenv"
	"keyladder/stages/catalog"
	"keyladder/stages/workshop/deploy"
	"keyladder/stages/workshop/lab"
)

// With all ports moved, what is installed on the phone, the genuine app on a fresh device
// and attacks work as before, and everything answers on both loopback addresses.
func TestMovedPorts(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	dir := t.TempDir()
	works := func(l *lab.Lab, reference string) {
		t.Helper()
		for _, slug := range []string{"app-id", "hmac"} {
			run, err := manage.Post[manage.Run](t.Context(), l.Phone, "/phone/run", map[string]string{"stage": slug, "reference": reference})
			if err != nil || !run.OK {
				t.Errorf("the phone at %s: %+v, %v", slug, run, err)
			}
		}
		if genuine := l.Referee.Genuine(t.Context(), "hidden-secrets"); !genuine.OK {
			t.Error(genuine.Reason)
		}
		if cell := l.Referee.Attack(t.Context(), "tls", "trusted-proxy"); cell.Outcome != string(catalog.Succeeds) {
			t.Errorf("trusted-proxy: %s, %s", cell.Outcome, cell.Reason)
		}
	}
	first, err := lab.Start(t.Context(), lab.Options{Dir: dir, Screens: true})
	if err != nil {
		t.Fatal(err)
	}
	works(first, "before")
	before := first.Addresses
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, lab.Options{Dir: dir, Screens: true})
	if second.Done != deploy.Moved || second.Addresses.URL(deployment.API) == before.URL(deployment.API) {
		t.Fatalf("%s from %s to %s", second.Done, before.URL(deployment.API), second.Addresses.URL(deployment.API))
	}
	works(second, "after")
	for _, service := range []deployment.ServiceName{deployment.PlainAPI, deployment.AdminUI, deployment.PhoneScreen} {
		for _, host := range []string{"127.0.0.1", "[::1]"} {
			if host == "[::1]" && !hasIPv6() {
				continue
			}
			resp, err := http.Get(strings.Replace(second.Addresses.URL(service), "localhost", host, 1))
			if err != nil {
				t.Errorf("%s: %v", service, err)
				continue
			}
			resp.Body.Close()
		}
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}
