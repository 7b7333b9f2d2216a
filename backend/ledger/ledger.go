package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// Ledger is the bank's book. It is safe for concurrent use.
type Ledger struct {
	db  *gorm.DB
	now func() time.Time
}

// New makes the ledger on a database that has [Models]' tables, and seeds it when it
// is empty.
func New(ctx context.Context, db *gorm.DB) (*Ledger, error) {
	l := &Ledger{db: db.Session(&gorm.Session{PrepareStmt: true}), now: time.Now}
	var accounts int64
	if err := l.db.WithContext(ctx).Model(&Account{}).Count(&accounts).Error; err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	if accounts == 0 {
		return l, l.Reset(ctx)
	}
	return l, nil
}

// Accounts returns the accounts of an owner, or, where owner is empty, all of them, by
// their numbers.
func (l *Ledger) Accounts(ctx context.Context, owner string) ([]Account, error) {
	accounts := []Account{}
	query := l.db.WithContext(ctx).Order("id")
	if owner != "" {
		query = query.Where("owner = ?", owner)
	}
	if err := query.Find(&accounts).Error; err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	return accounts, nil
}

// Account returns one account, or [ErrUnknownAccount].
func (l *Ledger) Account(ctx context.Context, id string) (Account, error) {
	return account(l.db.WithContext(ctx), id, ErrUnknownAccount)
}

func account(tx *gorm.DB, id string, unknown error) (Account, error) {
	var found Account
	err := tx.Where("id = ?", id).Take(&found).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Account{}, unknown
	}
	if err != nil {
		return Account{}, fmt.Errorf("read an account: %w", err)
	}
	return found, nil
}

// Transfers returns the latest transfers from or to an account, newest first.
func (l *Ledger) Transfers(ctx context.Context, account string, limit int) ([]Transfer, error) {
	return l.transfers(ctx, limit, "payer = ? OR payee = ?", account, account)
}

// Find returns the transfers with exactly that reference, newest first.
func (l *Ledger) Find(ctx context.Context, reference string, limit int) ([]Transfer, error) {
	return l.transfers(ctx, limit, "reference = ?", reference)
}

// Latest returns the latest transfers, newest first.
func (l *Ledger) Latest(ctx context.Context, limit int) ([]Transfer, error) {
	return l.transfers(ctx, limit, "")
}

func (l *Ledger) transfers(ctx context.Context, limit int, where string, values ...any) ([]Transfer, error) {
	transfers := []Transfer{}
	query := l.db.WithContext(ctx).Order("id DESC").Limit(limit)
	if where != "" {
		query = query.Where(where, values...)
	}
	if err := query.Find(&transfers).Error; err != nil {
		return nil, fmt.Errorf("read transfers: %w", err)
	}
	return transfers, nil
}

// Transfer books what is ordered, or refuses it with one of the errors of this package
// and changes nothing.
func (l *Ledger) Transfer(ctx context.Context, o Order) (Transfer, error) {
	if err := o.validate(); err != nil {
		return Transfer{}, err
	}
	booked := Transfer{
		Payer: o.Payer, Payee: o.Payee, Amount: o.Amount, Currency: o.Currency, Reference: o.Reference,
		App: o.App, User: o.User, Stage: o.Stage,
	}
	err := l.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		payer, err := account(tx, o.Payer, ErrUnknownPayer)
		if err != nil {
			return err
		}
		payee, err := account(tx, o.Payee, ErrUnknownPayee)
		if err != nil {
			return err
		}
		if err := o.decide(payer, payee); err != nil {
			return err
		}
		// The transaction holds the write lock since it began, so nothing has changed
		// since we looked. The conditions are here all the same: a database that locks
		// later must not be able to overdraw an account.
		debit := tx.Model(&Account{}).Where("id = ? AND NOT frozen AND balance >= ?", o.Payer, o.Amount).
			Update("balance", gorm.Expr("balance - ?", o.Amount))
		if err := one(debit, "debit the payer"); err != nil {
			return err
		}
		credit := tx.Model(&Account{}).Where("id = ? AND NOT frozen", o.Payee).
			Update("balance", gorm.Expr("balance + ?", o.Amount))
		if err := one(credit, "credit the payee"); err != nil {
			return err
		}
		booked.BookedAt = l.now().UTC()
		if err := tx.Omit("PayerAccount", "PayeeAccount").Create(&booked).Error; err != nil {
			return fmt.Errorf("book a transfer: %w", err)
		}
		return nil
	})
	if err != nil {
		return Transfer{}, err
	}
	return booked, nil
}

// one turns a statement that did not change exactly one row into an error.
func one(result *gorm.DB, what string) error {
	if result.Error != nil {
		return fmt.Errorf("%s: %w", what, result.Error)
	}
	if result.RowsAffected != 1 {
		return fmt.Errorf("%s: %d accounts changed, not one", what, result.RowsAffected)
	}
	return nil
}

// Freeze freezes or thaws an account and returns it, or [ErrUnknownAccount].
func (l *Ledger) Freeze(ctx context.Context, id string, frozen bool) (Account, error) {
	var found Account
	err := l.db.WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
		if found, err = account(tx, id, ErrUnknownAccount); err != nil {
			return err
		}
		found.Frozen = frozen
		return one(tx.Model(&Account{}).Where("id = ?", id).Update("frozen", frozen), "freeze an account")
	})
	return found, err
}

// Sum is the sum over all accounts, in minor units. Transfers do not change it.
func (l *Ledger) Sum(ctx context.Context) (int64, error) {
	var sum int64
	if err := l.db.WithContext(ctx).Model(&Account{}).Select("COALESCE(SUM(balance), 0)").Scan(&sum).Error; err != nil {
		return 0, fmt.Errorf("sum up the accounts: %w", err)
	}
	return sum, nil
}

// Reset brings the accounts back to what they were at first, and drops all transfers.
func (l *Ledger) Reset(ctx context.Context) error {
	err := l.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		all := tx.Session(&gorm.Session{AllowGlobalUpdate: true})
		if err := all.Delete(&Transfer{}).Error; err != nil {
			return err
		}
		if err := all.Delete(&Account{}).Error; err != nil {
			return err
		}
		return tx.Create(seed()).Error
	})
	if err != nil {
		return fmt.Errorf("seed the ledger: %w", err)
	}
	return nil
}
