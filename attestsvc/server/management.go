package server

import (
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
)

// management adds the attestation service's part of the management API. See package manage.
func (s *Server) management() {
	s.manage.Use(manage.Audit(s.config.Logger))
	m := s.manage.For(deployment.Admin)
	s.usage.Manage(m)
}
