package clients

import (
	"cmp"
	"time"

	"keyladder/internal/manage"
)

// appRow is an app in the database.
type appRow struct {
	ID           string   `gorm:"primaryKey"`
	Kind         string   `gorm:"not null;default:app"`
	Name         string   `gorm:"not null"`
	UserAgent    string   `gorm:"not null"`
	Scopes       []string `gorm:"not null;serializer:json"`
	Certificates []string `gorm:"not null;serializer:json"`
	RedirectURIs []string `gorm:"column:redirect_uris;not null;default:'[]';serializer:json"`
	Public       bool     `gorm:"not null;default:false"`
	Tier         string   `gorm:"not null;default:'';index"`
	PerSecond    float64  `gorm:"not null;check:per_second > 0"` // of its own; what counts is its tier's, if it is in one
	Burst        int      `gorm:"not null;check:burst > 0"`
	CreatedAt    time.Time
}

func (appRow) TableName() string { return "apps" }

// keyRow is a key in the database.
type keyRow struct {
	ID        string    `gorm:"primaryKey"`
	App       string    `gorm:"not null;index"`
	Secret    string    `gorm:"not null;default:''"`    // in clear: see [Secret]
	Servers   bool      `gorm:"not null;default:false"` // the secret is shared by servers alone
	CreatedAt time.Time `gorm:"not null"`
	RevokedAt *time.Time

	Of appRow `gorm:"foreignKey:App;references:ID" json:"-"`
}

func (keyRow) TableName() string { return "keys" }

// replacedRow is a secret that a key had before, as long as it may be accepted.
type replacedRow struct {
	Key        string    `gorm:"primaryKey"`
	ReplacedAt time.Time `gorm:"primaryKey"`
	Secret     string    `gorm:"not null"` // in clear: see [Secret]

	Of keyRow `gorm:"foreignKey:Key;references:ID" json:"-"`
}

func (replacedRow) TableName() string { return "replaced_secrets" }

// Models are the registry's tables, without those of package feed.
func Models() []any { return []any{&appRow{}, &keyRow{}, &replacedRow{}, &tierRow{}} }

func rowOf(a manage.App, at time.Time) appRow {
	row := appRow{
		ID: a.ID, Kind: string(cmp.Or(a.Kind, manage.MobileApp)), Name: a.Name, UserAgent: product(a.UserAgent), Scopes: a.Scopes, Certificates: a.Certificates,
		RedirectURIs: a.RedirectURIs, Public: a.Public,
		Tier: a.Tier, PerSecond: a.PerSecond, Burst: a.Burst, CreatedAt: at,
	}
	if row.Scopes == nil {
		row.Scopes = []string{}
	}
	if row.Certificates == nil {
		row.Certificates = []string{}
	}
	if row.RedirectURIs == nil {
		row.RedirectURIs = []string{}
	}
	return row
}
