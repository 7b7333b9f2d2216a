package resource

import (
	"keyladder/backend/guard"
	"keyladder/internal/deployment"
	"keyladder/stages/mechanism/session"
)

// With is the configuration with the lifetimes and limits of the deployment's settings.
func (c Config) With(settings deployment.Settings) Config {
	c.Sessions = session.Lifetimes{Idle: settings.SessionIdle, Absolute: settings.SessionLifetime}
	c.Address = guard.Limit{PerSecond: settings.AddressPerSecond, Burst: settings.AddressBurst}
	c.Overlap = settings.SecretOverlap
	c.TokenLifetime, c.ShortLifetime = settings.TokenLifetime, settings.ShortLifetime
	c.TokenLeeway, c.KeyOverlap = settings.TokenLeeway, settings.SigningKeyOverlap
	return c
}
