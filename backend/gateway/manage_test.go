package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
)

// TestManage: an admin sees the routes, the API's health and what became of calls, and switches the
// firewall.
func TestManage(t *testing.T) {
	t.Parallel()
	w := start(t, nil)
	server := manage.NewServer(&deployment.Folder{Role: deployment.Mediator}, nil, nil)
	w.gateway.Manage(server.For(deployment.Admin), stages())
	ask := func(role deployment.Role, method, path, body string, into any) int {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: string(role)}}}}
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		if into != nil {
			if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
				t.Fatal(err)
			}
		}
		return answer.Code
	}
	w.do(w.request(http.MethodGet, "/v1/accounts", ""))
	var state manage.Gateway
	if status := ask(deployment.Admin, http.MethodGet, "/gateway", "", &state); status != http.StatusOK {
		t.Fatal(status)
	}
	if len(state.Stages) != 1 || state.Stages[0] != stage || state.Forwarded != 1 || state.Down || state.WAF.On || state.Upstream == "" {
		t.Errorf("%+v", state)
	}
	var found []string
	for _, r := range state.Routes {
		found = append(found, r.Method+" "+r.Path+" "+r.By)
	}
	want := []string{
		"GET /v1/rates resource", "GET /v1/accounts resource", "GET /v1/accounts/{id} resource", "GET /v1/accounts/{id}/transfers resource",
		"POST /v1/transfers resource", "POST /v1/accounts/{id}/freeze resource",
	}
	if strings.Join(found, "\n") != strings.Join(want, "\n") {
		t.Errorf("routes: %q", found)
	}
	var waf manage.WAF
	if status := ask(deployment.Admin, http.MethodPatch, "/gateway/waf", `{"on":true}`, &waf); status != http.StatusOK || !waf.On || !w.gateway.WAF().State().On {
		t.Errorf("%d %+v", status, waf)
	}
	if status := ask(deployment.Admin, http.MethodPatch, "/gateway/waf", `{"on":"yes"}`, nil); status != http.StatusBadRequest {
		t.Error(status)
	}
	if status := ask(deployment.Phone, http.MethodPatch, "/gateway/waf", `{"on":false}`, nil); status != http.StatusForbidden || !w.gateway.WAF().State().On {
		t.Error(status)
	}
}
