package ledger

import (
	"context"
	"fmt"
)

// Settlement is what was paid to an account on a day.
type Settlement struct {
	Day       string // UTC, 2006-01-02
	Account   string
	Currency  string
	Transfers int64
	Amount    int64 // minor units of Currency
}

// Settlements are the daily totals of what was paid to an owner's accounts, the latest day
// first; at most limit of them. Payments between accounts of that owner count, as they
// are bookings like others.
func (l *Ledger) Settlements(ctx context.Context, owner string, limit int) ([]Settlement, error) {
	settlements := []Settlement{}
	err := l.db.WithContext(ctx).Model(&Transfer{}).
		Select("date(transfers.booked_at) AS day, transfers.payee AS account, transfers.currency AS currency, "+
			"COUNT(*) AS transfers, SUM(transfers.amount) AS amount").
		Joins("JOIN accounts ON accounts.id = transfers.payee").
		Where("accounts.owner = ?", owner).
		Group("day, account, transfers.currency").
		Order("day DESC, account").
		Limit(limit).Scan(&settlements).Error
	if err != nil {
		return nil, fmt.Errorf("sum up what was paid to %s: %w", owner, err)
	}
	return settlements, nil
}
