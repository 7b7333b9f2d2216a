package authserver

import (
	"net/http"

	"keyladder/backend/clients"
	"keyladder/backend/consents"
	"keyladder/backend/tokens"
)

// Clients are the server's, for tests that change them.
func (s *Server) Clients() *clients.Registry { return s.clients }

// Tokens are the server's access tokens.
func (s *Server) Tokens() *tokens.Store { return s.tokens }

// Consents are the server's.
func (s *Server) Consents() *consents.Store { return s.consents }

// Handler answers without listeners.
func (s *Server) Handler() http.Handler { return s.echo }
