package resource

import (
	"net/http"
	"slices"

	"keyladder/backend/introspection"
	"keyladder/backend/tokens"
	"keyladder/internal/deployment"
	"keyladder/internal/pki"
	"keyladder/stages/catalog"
)

// introspecting gets ready to ask another company's authorization server about its access tokens.
// Nil: it has no part in a stage, or the deployment does not say where it is.
func (c Config) introspecting() (*introspection.Client, error) {
	at := c.Folder.Addresses
	if at.URL(deployment.LiteServer) == "" || !slices.ContainsFunc(c.Stages.Built(), func(s catalog.Stage) bool { return s.Call.Providers == catalog.ChosenInApp }) {
		return nil, nil
	}
	var as deployment.Client
	if err := c.Folder.JSON("introspection.json", &as); err != nil {
		return nil, err
	}
	roots, err := c.Folder.Read("roots.pem")
	if err != nil {
		return nil, err
	}
	pool, err := pki.Pool(roots)
	if err != nil {
		return nil, err
	}
	return introspection.New(introspection.Config{
		As: as, Roots: pool, Routes: at.Routes(), Log: c.Log, Now: c.Now, Program: string(deployment.Resource),
		Issuer:   func(stage string) string { return at.Stage(deployment.LiteServer, stage) },
		Audience: func(stage string) string { return at.Stage(deployment.API, stage) + "/v1" },
	}), nil
}

// find is [introspection.Client.Find] for the guard; nil where nobody is asked.
func find(client *introspection.Client) func(call *http.Request, stage, text string) (*tokens.Token, error) {
	if client == nil {
		return nil
	}
	return client.Find
}
