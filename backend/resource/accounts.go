package resource

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/ledger"
	"keyladder/internal/problem"
)

// account is an account as the API shows it.
type account struct {
	ID       string `json:"id"`
	Owner    string `json:"owner"`
	Name     string `json:"name"`
	Balance  int64  `json:"balance"` // minor units of currency
	Currency string `json:"currency"`
	Frozen   bool   `json:"frozen"`
}

func accountOf(a ledger.Account) account {
	return account{ID: a.ID, Owner: a.Owner, Name: a.Name, Balance: a.Balance, Currency: a.Currency, Frozen: a.Frozen}
}

// getAccounts shows the user's accounts; where no user is known, and to staff, everybody's.
func (s *Server) getAccounts(c echo.Context, caller guard.Caller) error {
	owner := caller.User()
	if caller.SeesAll() {
		owner = ""
	} else if owner == "" { // would be everybody
		return errors.New("a call without a user got to the users' accounts")
	}
	found, err := s.ledger.Accounts(c.Request().Context(), owner)
	if err != nil {
		return err
	}
	accounts := make([]account, len(found))
	for i := range found {
		accounts[i] = accountOf(found[i])
	}
	return writeJSON(c, http.StatusOK, map[string]any{"accounts": accounts})
}

func (s *Server) getAccount(c echo.Context, caller guard.Caller) error {
	found, err := s.visible(c, caller)
	if err != nil {
		return err
	}
	return writeJSON(c, http.StatusOK, accountOf(found))
}

func (s *Server) getTransfers(c echo.Context, caller guard.Caller) error {
	found, err := s.visible(c, caller)
	if err != nil {
		return err
	}
	history, err := s.ledger.Transfers(c.Request().Context(), found.ID, historyLength)
	if err != nil {
		return err
	}
	transfers := make([]transfer, len(history))
	for i := range history {
		transfers[i] = transferOf(history[i])
	}
	return writeJSON(c, http.StatusOK, map[string]any{"transfers": transfers})
}

// historyLength is how many transfers an account's history shows.
const historyLength = 100

// visible is the account that the path names. One that is not the user's looks as if it
// were not there. That others' numbers can be tried out all the same lies in what a bank is
// for: it says so when there is nobody to pay.
func (s *Server) visible(c echo.Context, caller guard.Caller) (ledger.Account, error) {
	found, err := s.ledger.Account(c.Request().Context(), c.Param("id"))
	if errors.Is(err, ledger.ErrUnknownAccount) || err == nil && !caller.Sees(found.Owner) {
		return ledger.Account{}, noSuchAccount()
	}
	return found, err
}

func noSuchAccount() error {
	return problem.New(http.StatusNotFound, "no-such-resource", "There is no such account", "GET /v1/accounts shows those that there are.")
}

// postFreeze freezes or thaws an account: {"frozen": true}. It is for the bank itself, by the
// app's scope and, where the stage knows users, by the user's, and so for every account.
func (s *Server) postFreeze(c echo.Context, caller guard.Caller) error {
	var frozen bool
	if err := decode(caller.Body(), member{"frozen", &frozen}); err != nil {
		return err
	}
	changed, err := s.ledger.Freeze(c.Request().Context(), c.Param("id"), frozen)
	if errors.Is(err, ledger.ErrUnknownAccount) {
		return noSuchAccount()
	}
	if err != nil {
		return err
	}
	caller.Did(map[bool]string{true: "froze ", false: "thawed "}[frozen] + changed.ID)
	return writeJSON(c, http.StatusOK, accountOf(changed))
}
