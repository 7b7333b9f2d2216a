package manage

import (
	"context"
	"time"
)

// QuotasPath is where the third party's rates API tells what its customers have used. GET: a list of
// [Quota]
const QuotasPath = "/quotas"

// Quota is how many calls a customer has in a window of time.
type Quota struct {
	Customer string    `json:"customer"`
	Window   string    `json:"window"` // "minute" or "day"
	Calls    int       `json:"calls"`
	Used     int       `json:"used"`
	Ends     time.Time `json:"ends"` // of the window
}

// Quotas returns what the customers of the rates API have used.
func Quotas(ctx context.Context, d Doer) ([]Quota, error) { return Get[[]Quota](ctx, d, QuotasPath) }
