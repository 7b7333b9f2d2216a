package attack

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"keyladder/internal/problem"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		status      int
		contentType string
		body        string
		served      bool
		refused     bool
	}{
		{"served", 200, "application/json", "{}", true, false},
		{"booked", 201, "application/json", "{}", true, false},
		{"unknown app", 401, problem.ContentType, `{"type":"urn:keyladder:problem:client-not-accepted","title":"No"}`, false, true},
		{"no certificate", 403, problem.ContentType, `{"type":"urn:keyladder:problem:client-certificate-required","title":"No"}`, false, true},
		{"401 of something else", 401, "text/html", "<h1>No</h1>", false, false},
		{"wrong door", 403, problem.ContentType, `{"type":"urn:keyladder:problem:tls-required","title":"No"}`, false, false},
		{"too often", 429, problem.ContentType, `{"type":"urn:keyladder:problem:rate-limited","title":"No"}`, false, false},
		{"not there", 404, problem.ContentType, `{"type":"urn:keyladder:problem:no-such-stage","title":"No"}`, false, false},
		{"not good", 422, problem.ContentType, `{"type":"urn:keyladder:problem:unprocessable","title":"No"}`, false, false},
		{"broken", 500, problem.ContentType, `{"type":"urn:keyladder:problem:internal","title":"No"}`, false, false},
		{"elsewhere", 302, "text/html", "", false, false},
	}
	for _, test := range tests {
		err := Judge(test.status, test.contentType, []byte(test.body))
		var r *Refusal
		if (err == nil) != test.served || errors.As(err, &r) != test.refused {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestProgramsWaitWhenTheyCallTooEarly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		field string
		wait  time.Duration
		worth bool
	}{
		{"2", 2 * time.Second, true},
		{"600", 600 * time.Second, false},
		{"soon", time.Second, true},
		{"", time.Second, true},
	}
	for _, test := range tests {
		got, worth := retryAfter(&http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {test.field}}})
		if got != test.wait || worth != test.worth {
			t.Errorf("Retry-After %q: %v, %v", test.field, got, worth)
		}
	}
	if _, limited := retryAfter(&http.Response{StatusCode: http.StatusOK}); limited {
		t.Error("it waits without need")
	}
}
