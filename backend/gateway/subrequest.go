package gateway

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/forwarded"
)

// checkPath is where other gateways ask, below a stage.
const checkPath = "/check"

// subrequestKey marks a request that is a question about another one.
type subrequestKey struct{}

func isSubrequest(r *http.Request) bool { return r.Context().Value(subrequestKey{}) != nil }

// Subrequests answers the questions of gateways that are there already whether a call is good, at
// /{stage}/check, and has all other requests answered by next, which is the guarded echo:
//
//	GET /extended-mediator/check HTTP/1.1
//	X-Original-Method: POST
//	X-Original-URI: /extended-mediator/v1/transfers
//	X-Forwarded-For: 203.0.113.7
//
// with all other fields of the call, its tokens among them. These are the fields of nginx's auth_request
// as people set them up; Caddy's forward_auth has X-Forwarded-Method and X-Forwarded-Uri in their
// place. The call passes what it would pass here. The answer is 204 with the Forwarded-Caller that the
// asking gateway puts on the call, or the refusal: 401, 403 or 429.
//
// Where calls have proofs of possession, a question uses up the proof of its call, and a refusal has the
// nonce for the next one: the asking gateway passes both challenge and nonce on, and answers under the
// address that proofs name, which is the mediator's. Where calls are signed, the answer is 403: a question
// has not the body that is signed, and nobody but the mediator signs the answer to the call.
//
// The caller believes that it is a gateway, and so do we: it has to come over the listener for TLS
// terminators, with a certificate of theirs. For others there is nothing here.
//
//keyladder:code gateway-subrequests
func Subrequests(stages catalog.Set, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stage, ok := strings.CutSuffix(r.URL.Path, checkPath)
		if !ok || r.URL.RawPath != "" || strings.Count(stage, "/") != 1 || guard.ListenerOf(r.Context()) != guard.Terminated {
			next.ServeHTTP(w, r)
			return
		}
		if s, _ := stages.Lookup(strings.TrimPrefix(stage, "/")); s.Call.Sender == catalog.SignedMessages {
			problem.Details(w, problem.New(http.StatusForbidden, "mediator-only", "No questions are answered about calls of this stage",
				"They are signed with their body, and so are the answers to them. Send them through the mediator."))
			return
		}
		asked, err := original(r, stage)
		if err != nil {
			problem.Details(w, err)
			return
		}
		next.ServeHTTP(&verdict{ResponseWriter: w}, asked)
	})
}

// original is the call that is asked about. Its body stays where it is.
func original(r *http.Request, stage string) (*http.Request, *problem.Problem) {
	// A gateway overwrites the fields of its own kind. Those of the other kind may be its client's, who
	// would have it ask about another call than the one that it sends on.
	only := func(name, other string) string {
		if r.Header.Get(name) == "" {
			name, other = other, name
		}
		if len(r.Header.Values(name)) != 1 || len(r.Header.Values(other)) > 0 {
			return ""
		}
		return r.Header.Get(name)
	}
	method, target := only("X-Original-Method", "X-Forwarded-Method"), only("X-Original-Uri", "X-Forwarded-Uri")
	u, err := url.ParseRequestURI(target)
	if method == "" || err != nil || u.Host != "" {
		return nil, problem.New(http.StatusForbidden, "bad-request", "It is not said which call is asked about",
			"Send each once: X-Original-Method and X-Original-URI, or X-Forwarded-Method and X-Forwarded-Uri.")
	}
	if !strings.HasPrefix(u.Path, stage+"/") {
		return nil, problem.New(http.StatusForbidden, "bad-request", "The call is one of another stage", "Ask under "+stage+".")
	}
	asked := r.Clone(context.WithValue(r.Context(), subrequestKey{}, true))
	asked.Method, asked.URL, asked.Body, asked.ContentLength = method, u, http.NoBody, 0
	return asked, nil
}

// allow tells the other gateway that a call is good, and what to tell the API.
func (g *Gateway) allow(c echo.Context, caller guard.Caller) error {
	g.counts.checked.Add(1)
	token, err := g.vouch(c.Request(), caller)
	if err != nil {
		return err
	}
	c.Response().Header().Set(forwarded.Field, token)
	return c.NoContent(http.StatusNoContent)
}

// verdict has the answers that gateways understand: nginx takes any other than 2xx, 401 and 403 for a
// fault. 429 is for those that pass on what they get.
type verdict struct{ http.ResponseWriter }

// WriteHeader writes what the answer means for the call.
func (v *verdict) WriteHeader(status int) {
	switch status {
	case http.StatusNoContent, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
	default:
		if status < http.StatusInternalServerError {
			status = http.StatusForbidden
		}
	}
	v.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (v *verdict) Unwrap() http.ResponseWriter { return v.ResponseWriter }
