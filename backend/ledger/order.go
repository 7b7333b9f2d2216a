package ledger

import (
	"errors"
	"fmt"
	"math"
	"unicode"
	"unicode/utf8"
)

// MaxReference is the length of the longest reference, in characters.
const MaxReference = 140

// Refusals of a transfer. Their texts are for the client.
var (
	ErrAmount         = errors.New("the amount must be a positive whole number of minor units")
	ErrCurrency       = errors.New("the accounts are in " + Currency)
	ErrReference      = errors.New("the reference may have 140 characters, and no control characters")
	ErrSameAccount    = errors.New("payer and payee are the same account")
	ErrUnknownPayer   = errors.New("there is no account to pay from under that number")
	ErrUnknownPayee   = errors.New("there is no account to pay to under that number")
	ErrNotOwner       = errors.New("the account to pay from belongs to somebody else")
	ErrFrozen         = errors.New("one of the accounts is frozen")
	ErrFunds          = errors.New("the balance does not cover the amount")
	ErrOverflow       = errors.New("the payee's account can't hold that much")
	ErrUnknownAccount = errors.New("there is no account under that number")
)

// Order asks for a transfer.
type Order struct {
	Payer, Payee string // account IDs
	Amount       int64  // minor units of Currency
	Currency     string
	Reference    string

	App, Stage string // who orders it, and at which stage
	User       string // the proven user; empty where the stage knows none
}

// validate checks what can be checked without looking at accounts.
func (o Order) validate() error {
	switch {
	case o.Amount <= 0:
		return ErrAmount
	case o.Currency != Currency:
		return ErrCurrency
	case o.Payer == o.Payee:
		return ErrSameAccount
	case !validReference(o.Reference):
		return ErrReference
	}
	return nil
}

// validReference refuses what could make a line of a statement read as something
// else: control characters, other line ends, and characters that turn the direction of
// the text around.
func validReference(reference string) bool {
	if !utf8.ValidString(reference) || utf8.RuneCountInString(reference) > MaxReference {
		return false
	}
	for _, r := range reference {
		if unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// decide checks the order against both accounts.
func (o Order) decide(payer, payee Account) error {
	switch {
	case o.User != "" && payer.Owner != o.User:
		return ErrNotOwner
	case payer.Frozen:
		return fmt.Errorf("%w: %s", ErrFrozen, payer.ID)
	case payee.Frozen:
		return fmt.Errorf("%w: %s", ErrFrozen, payee.ID)
	case payer.Currency != o.Currency || payee.Currency != o.Currency:
		return ErrCurrency
	case payer.Balance < o.Amount:
		return ErrFunds
	case payee.Balance > math.MaxInt64-o.Amount:
		return ErrOverflow
	}
	return nil
}
