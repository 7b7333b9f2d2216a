package phone

import "keyladder/internal/manage"

// The API's answers, as the app shows them.
type (
	// Accounts answers GET /v1/accounts.
	Accounts struct {
		Accounts []manage.Account `json:"accounts"`
	}
	// Transfers answers GET /v1/accounts/{id}/transfers, newest first.
	Transfers struct {
		Transfers []manage.Transfer `json:"transfers"`
	}
	// Rates answers GET /v1/rates: what one unit of Base costs, as decimal numbers.
	Rates struct {
		Base  string            `json:"base"`
		Rates map[string]string `json:"rates"`
	}
	// MarketRates answers GET /v1/market-rates: what one unit of Base is bought and sold for.
	MarketRates struct {
		Provider string `json:"provider"`
		Base     string `json:"base"`
		Rates    map[string]struct {
			Bid string `json:"bid"`
			Ask string `json:"ask"`
		} `json:"rates"`
	}
)
