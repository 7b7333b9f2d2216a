package manage

import (
	"context"
	"net/http"
	"time"
)

// GatewayPath is where the mediator has the gateway in front of the API: GET is a [Gateway], and PATCH
// to /waf a [WAFChange], which answers with the [WAF]. Where no stage that is built has one, it is not
// there.
const GatewayPath = "/gateway"

// Gateway is the state of the gateway in front of the API: what is known about the API, and what has
// become of calls since the gateway's program was started.
type Gateway struct {
	Stages   []string       `json:"stages"`   // whose calls lead through it
	Routes   []GatewayRoute `json:"routes"`   // that are there under each of them
	Upstream string         `json:"upstream"` // the URL of the API behind it, without a path

	Down    bool      `json:"down"`             // the API can't be reached, so calls are refused
	Reason  string    `json:"reason,omitempty"` // why it can't
	Since   time.Time `json:"since"`            // that it can, or can't; zero: nothing has shown it yet
	Checked time.Time `json:"checked"`          // when that was looked at last; zero: never

	Forwarded   int64 `json:"forwarded"`   // calls that the API has answered
	SentAgain   int64 `json:"sent_again"`  // calls that were sent a second time
	Failed      int64 `json:"failed"`      // calls that the API did not answer
	Refused     int64 `json:"refused"`     // calls that were not sent, while the API was known to be down
	Subrequests int64 `json:"subrequests"` // calls that other gateways were told to be good

	WAF   WAF          `json:"waf"`
	Rates GatewayRates `json:"rates"`
}

// GatewayRates is what the gateway has of a third party's rates.
type GatewayRates struct {
	URL   string     `json:"url"`             // where it asks for them; empty: it does not
	Key   bool       `json:"key"`             // it has the key for them
	At    *time.Time `json:"at,omitempty"`    // when the third party has answered last; nil: never
	Until *time.Time `json:"until,omitempty"` // for how long that is passed on
	Why   string     `json:"why,omitempty"`   // there are none to be had; empty: there are
}

// GatewayRoute is a route of the gateway.
type GatewayRoute struct {
	Method string `json:"method"`
	Path   string `json:"path"` // below the stage
	By     string `json:"by"`   // the role of the program that answers
}

// WAF is the state of the gateway's web application firewall.
type WAF struct {
	On      bool       `json:"on"`
	Rules   int        `json:"rules"`   // that are loaded; 0 while it is off
	Since   *time.Time `json:"since"`   // that it is on
	Checked int64      `json:"checked"` // calls that it has looked at
	Refused int64      `json:"refused"` // and refused
}

// GatewayState is the state of the gateway.
func GatewayState(ctx context.Context, d Doer) (Gateway, error) {
	return Get[Gateway](ctx, d, GatewayPath)
}

// SwitchWAF switches the gateway's web application firewall.
func SwitchWAF(ctx context.Context, d Doer, on bool) (state WAF, err error) {
	err = d.Do(ctx, http.MethodPatch, GatewayPath+"/waf", WAFChange{On: on}, &state)
	return state, err
}

// WAFChange switches it.
type WAFChange struct {
	On bool `json:"on"`
}
