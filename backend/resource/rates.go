package resource

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"keyladder/backend/guard"
	"keyladder/backend/ledger"
)

// rates are public data: they need a proven app, but no user.
type rates struct {
	Base  string            `json:"base"`
	Rates map[string]string `json:"rates"` // decimal numbers, as text so that nobody rounds them
}

var today = rates{Base: ledger.Currency, Rates: map[string]string{
	"CHF": "0.9312", "DKK": "7.4604", "GBP": "0.8421", "JPY": "163.45", "NOK": "11.7250", "SEK": "11.4880", "USD": "1.0834",
}}

func (s *Server) getRates(c echo.Context, _ guard.Caller) error {
	return writeJSON(c, http.StatusOK, today)
}
