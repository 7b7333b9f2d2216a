package tokens

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"gorm.io/gorm"

	"keyladder/internal/manage"
)

// UsesPath is where the issuing server is told how often its tokens were used at others.
const UsesPath = "/tokens/uses"

// served is how often a token was used.
type served struct {
	Token string    `json:"token"` // jti
	Calls int64     `json:"calls"`
	Last  time.Time `json:"last"`
}

// usesTold is how many of them are told at once, and mostUntold how many are kept while the
// issuing server can't be told.
const usesTold, mostUntold = 400, 100_000

// TellUses tells the issuing server how often its tokens were used here. Uses that can't be told now
// are told the next time. It is not for concurrent use.
func (m *Mirror) TellUses(ctx context.Context) error {
	for jti, u := range m.verified.uses() {
		kept, there := m.untold[jti]
		if !there && len(m.untold) >= mostUntold {
			continue
		}
		m.untold[jti] = served{Token: jti, Calls: kept.Calls + u.calls.Load(), Last: time.Unix(0, u.last.Load()).UTC()}
	}
	for len(m.untold) > 0 {
		var some []served
		for _, one := range m.untold {
			if some = append(some, one); len(some) == usesTold {
				break
			}
		}
		if err := m.issuer.Do(ctx, http.MethodPost, UsesPath, some, nil); err != nil {
			return fmt.Errorf("tell how often access tokens were used: %w", err)
		}
		for _, one := range some {
			delete(m.untold, one.Token)
		}
	}
	return nil
}

// takeUses counts the calls that another server has served.
func (s *Store) takeUses(c echo.Context) error {
	all, err := manage.Read[[]served](c)
	if err != nil {
		return err
	}
	err = s.db.WithContext(c.Request().Context()).Transaction(func(tx *gorm.DB) error { return count(tx, all) })
	if err != nil {
		return fmt.Errorf("count the use of access tokens: %w", err)
	}
	return c.NoContent(http.StatusNoContent)
}

func count(tx *gorm.DB, all []served) error {
	for _, one := range all {
		err := tx.Model(&tokenRow{}).Where("id = ?", one.Token).
			Updates(map[string]any{"calls": gorm.Expr("calls + ?", one.Calls), "last_used_at": one.Last.UTC()}).Error
		if err != nil {
			return err
		}
	}
	return nil
}
