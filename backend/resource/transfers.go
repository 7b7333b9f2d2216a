package resource

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/ledger"
	"keyladder/internal/problem"
)

// transfer is a booked transfer as the API shows it.
type transfer struct {
	ID        int64     `json:"id"`
	From      string    `json:"from"`
	To        string    `json:"to"`
	Amount    int64     `json:"amount"` // minor units of currency
	Currency  string    `json:"currency"`
	Reference string    `json:"reference"`
	BookedAt  time.Time `json:"booked_at"`
}

func transferOf(t ledger.Transfer) transfer {
	return transfer{
		ID: t.ID, From: t.Payer, To: t.Payee, Amount: t.Amount, Currency: t.Currency, Reference: t.Reference, BookedAt: t.BookedAt,
	}
}

// decodeOrder reads a transfer order. All members are required, so that a forgotten one
// is noticed and not filled in.
func decodeOrder(body []byte) (o ledger.Order, err error) {
	err = decode(body,
		member{"from", &o.Payer},
		member{"to", &o.Payee},
		member{"amount", &o.Amount},
		member{"currency", &o.Currency},
		member{"reference", &o.Reference})
	return o, err
}

func (s *Server) postTransfer(c echo.Context, caller guard.Caller) error {
	order, err := decodeOrder(caller.Body())
	if err != nil {
		return err
	}
	stage := caller.Stage().Slug
	order.App, order.User, order.Stage = caller.App(), caller.User(), stage
	booked, err := s.ledger.Transfer(c.Request().Context(), order)
	if err != nil {
		return transferProblem(err, caller)
	}
	caller.Did(fmt.Sprintf("paid %s %d.%02d from %s to %s", booked.Currency, booked.Amount/100, booked.Amount%100, booked.Payer, booked.Payee))
	// A transfer is shown in its accounts' histories, where its ID finds it.
	c.Response().Header().Set(echo.HeaderLocation, fmt.Sprintf("/%s/v1/accounts/%s/transfers#%d", stage, booked.Payer, booked.ID))
	return writeJSON(c, http.StatusCreated, transferOf(booked))
}

// transferProblem tells the client why the ledger refused; other errors are ours. To users
// an account that is not there to pay from is one that is not theirs.
func transferProblem(err error, caller guard.Caller) error {
	if errors.Is(err, ledger.ErrNotOwner) || errors.Is(err, ledger.ErrUnknownPayer) && caller.User() != "" {
		return problem.New(http.StatusForbidden, "not-allowed", "That is not your account", "Pay from an account of your own.")
	}
	for _, refusal := range []error{
		ledger.ErrAmount, ledger.ErrCurrency, ledger.ErrReference, ledger.ErrSameAccount, ledger.ErrUnknownPayer,
		ledger.ErrUnknownPayee, ledger.ErrFrozen, ledger.ErrFunds, ledger.ErrOverflow,
	} {
		if errors.Is(err, refusal) {
			return unprocessable("The transfer was not booked: %v.", err)
		}
	}
	return err
}
