package ledger

import "time"

// Currency of all accounts.
const Currency = "EUR"

// Account is an account of Harbour Bank.
type Account struct {
	ID       string `gorm:"primaryKey"`
	Owner    string `gorm:"not null;index"`
	Name     string `gorm:"not null"`
	Balance  int64  `gorm:"not null;check:balance >= 0"` // minor units of Currency
	Currency string `gorm:"not null"`
	Frozen   bool   `gorm:"not null"`
}

// Transfer is a booked transfer. Its ID is never given twice, not even after a reset.
type Transfer struct {
	ID        int64     `gorm:"primaryKey;autoIncrement"`
	Payer     string    `gorm:"not null;index"`
	Payee     string    `gorm:"not null;index;check:payer <> payee"`
	Amount    int64     `gorm:"not null;check:amount > 0"` // minor units of Currency
	Currency  string    `gorm:"not null"`
	Reference string    `gorm:"not null;index"`
	BookedAt  time.Time `gorm:"not null"`
	App       string    `gorm:"not null"` // the proven app
	User      string    `gorm:"not null"` // the proven user; empty where none is known
	Stage     string    `gorm:"not null"`

	PayerAccount Account `gorm:"foreignKey:Payer;references:ID"`
	PayeeAccount Account `gorm:"foreignKey:Payee;references:ID"`
}

// Models are the ledger's tables.
func Models() []any { return []any{&Account{}, &Transfer{}} }

// seed is what the bank starts with. Alice is rich, so that her money can be stolen all
// day; Mallory can afford payments above what the app lets its users transfer.
func seed() []Account {
	return []Account{
		{ID: "HB-1001", Owner: "alice", Name: "Current", Balance: 5_000_000_00, Currency: Currency},
		{ID: "HB-1002", Owner: "alice", Name: "Savings", Balance: 12_500_00, Currency: Currency},
		{ID: "HB-2001", Owner: "bob", Name: "Current", Balance: 1_840_50, Currency: Currency},
		{ID: "HB-3001", Owner: "mallory", Name: "Current", Balance: 2_000_000_00, Currency: Currency},
		{ID: "HB-4001", Owner: "quayside-books", Name: "Quayside Books", Balance: 2_150_00, Currency: Currency},
		{ID: "HB-9000", Owner: "bank", Name: "Harbour Bank", Balance: 100_000_00, Currency: Currency},
	}
}
