package providers

import (
	"maps"
	"time"

	"keyladder/internal/manage"
)

// row is a provider in the database: its newest version, with the secrets.
type row struct {
	Name    string            `gorm:"primaryKey"`
	Data    manage.Provider   `gorm:"not null;serializer:json"` // without secrets
	Secret  string            `gorm:"not null"`                 // in clear: the mediator has to show it
	Apps    map[string]string `gorm:"not null;serializer:json"` // secrets of apps, in clear as well
	Version int               `gorm:"not null"`
}

func (row) TableName() string { return "providers" }

// versionRow is what a provider was, without secrets.
type versionRow struct {
	Name          string          `gorm:"primaryKey"`
	Version       int             `gorm:"primaryKey;autoIncrement:false"`
	Data          manage.Provider `gorm:"not null;serializer:json"`
	SecretChanged bool            `gorm:"not null"`
	At            time.Time       `gorm:"not null"`
}

func (versionRow) TableName() string { return "provider_versions" }

// Models are the tables of providers, without those of package durable.
func Models() []any { return []any{&row{}, &versionRow{}} }

// rowOf is a provider with its secrets apart.
func rowOf(p manage.Provider) row {
	r := row{Name: p.Name, Secret: p.Secret, Apps: maps.Clone(p.Apps), Version: p.Version, Data: withoutSecrets(p)}
	if r.Apps == nil {
		r.Apps = map[string]string{}
	}
	return r
}

func (r row) provider() manage.Provider {
	p := r.Data
	p.Secret, p.Apps = r.Secret, r.Apps
	return p
}

// withoutSecrets is a provider as people may see it.
func withoutSecrets(p manage.Provider) manage.Provider {
	apps := p.Apps
	p.Secret, p.Apps, p.RedirectURI = "", nil, ""
	for client := range apps {
		if p.Apps == nil {
			p.Apps = map[string]string{}
		}
		p.Apps[client] = ""
	}
	return p
}
