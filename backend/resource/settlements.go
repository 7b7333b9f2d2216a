package resource

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
)

// settlement is what was paid to a partner's account on a day.
type settlement struct {
	Day       string `json:"day"` // UTC, 2006-01-02
	Account   string `json:"account"`
	Currency  string `json:"currency"`
	Transfers int64  `json:"transfers"`
	Amount    int64  `json:"amount"` // minor units of currency
}

// settlementDays is how many lines a partner is shown: one for each day and account.
const settlementDays = 92

// getSettlements shows a partner what was paid to its accounts, day by day. The
// certificate says whose they are; there is nothing in the request to choose from.
//
//keyladder:code partner-route
func (s *Server) getSettlements(c echo.Context, caller guard.Caller) error {
	found, err := s.ledger.Settlements(c.Request().Context(), caller.App(), settlementDays)
	if err != nil {
		return err
	}
	settlements := make([]settlement, len(found))
	for i := range found {
		settlements[i] = settlement(found[i])
	}
	return writeJSON(c, http.StatusOK, map[string]any{"settlements": settlements})
}
