package clients

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// ErrNoTier means that there is no such tier of service.
var ErrNoTier = errors.New("there is no tier of that name")

// tierRow is a tier of service in the database.
type tierRow struct {
	Name      string  `gorm:"primaryKey"`
	PerSecond float64 `gorm:"not null;check:per_second > 0"`
	Burst     int     `gorm:"not null;check:burst > 0"`
}

func (tierRow) TableName() string { return "tiers" }

// seedTiers are the tiers of a database that has none.
var seedTiers = []tierRow{
	{Name: "basic", PerSecond: 1, Burst: 5},
	{Name: "standard", PerSecond: 20, Burst: 60},
	{Name: "premium", PerSecond: 200, Burst: 600},
}

// Tiers are the tiers of service, the smallest first. The apps of a tier have its limits, each
// for itself.
func (r *Registry) Tiers() []manage.Tier {
	tiers := []manage.Tier{}
	for _, row := range r.state.Load().tiers {
		tiers = append(tiers, manage.Tier(row))
	}
	slices.SortFunc(tiers, func(a, b manage.Tier) int {
		return cmp.Or(cmp.Compare(a.PerSecond, b.PerSecond), cmp.Compare(a.Name, b.Name))
	})
	return tiers
}

// ChangeTier gives a tier other limits, and so all apps that are in it, from now on.
func (r *Registry) ChangeTier(ctx context.Context, name string, to manage.TierChange) (manage.Tier, error) {
	var tier tierRow
	err := r.change(ctx, "change a tier", func(tx *gorm.DB) ([]change, error) {
		err := tx.Where("name = ?", name).Take(&tier).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			err = ErrNoTier
		}
		if err != nil {
			return nil, err
		}
		set(&tier.PerSecond, to.PerSecond)
		set(&tier.Burst, to.Burst)
		if err := checkLimits(tier.PerSecond, tier.Burst); err != nil {
			return nil, err
		}
		if err := tx.Save(&tier).Error; err != nil {
			return nil, err
		}
		var apps []string
		err = tx.Model(&appRow{}).Where("tier = ?", name).Pluck("id", &apps).Error
		changes := []change{{Tier: name}}
		for _, app := range apps {
			changes = append(changes, change{App: app})
		}
		return changes, err
	})
	return manage.Tier(tier), err
}

// limitsOf puts the limits of the app's tier into it, if it is in one.
func limitsOf(tx *gorm.DB, app *manage.App) error {
	if app.Tier == "" {
		return nil
	}
	tier := tierRow{}
	err := tx.Where("name = ?", app.Tier).Take(&tier).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		err = fmt.Errorf("%w: there is no tier %q", ErrInvalid, app.Tier)
	}
	app.PerSecond, app.Burst = tier.PerSecond, tier.Burst
	return err
}

// checkLimits refuses limits that would open or close the API by mistake.
func checkLimits(perSecond float64, burst int) error {
	switch {
	case !(perSecond > 0 && perSecond <= maxRate): // refuses NaN, too
		return fmt.Errorf("%w: per_second must be above 0 and at most %g", ErrInvalid, float64(maxRate))
	case burst < 1 || burst > maxBurst:
		return fmt.Errorf("%w: burst must be 1 to %d", ErrInvalid, maxBurst)
	}
	return nil
}
