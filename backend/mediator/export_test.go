package mediator

import (
	"net/http"

	"keyladder/backend/guard"
)

// NewDeviceLimits is for tests.
var NewDeviceLimits = newDeviceLimits

// ServeHTTP answers as over TLS, without a connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.handler().ServeHTTP(w, r.WithContext(guard.WithListener(r.Context(), guard.TLS)))
}
