package attestation

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

// clockData is what the page of the tokens' lifetimes shows.
type clockData struct {
	frame
	Devices []manage.AttestedDevice // to choose from, those that were seen last
	Device  manage.AttestedDevice
	Clock   clock
}

const devicesOffered = 50

func (p *Pages) clockPage(c echo.Context) error {
	ctx := c.Request().Context()
	var data clockData
	list, err := p.Service.AttestedDevices(ctx, manage.AttestedDeviceQuery{Part: manage.Part{Sort: "-seen", Limit: devicesOffered}})
	data.Devices = list.Devices
	if id := c.QueryParam("device"); id != "" && err == nil {
		data.Device, err = p.Service.AttestedDevice(ctx, id)
		if refused := ui.Refusal(err); refused != nil && refused.Status == http.StatusNotFound {
			return echo.NewHTTPError(http.StatusNotFound, "There is no such device, or not any more. “Devices” lists those that attested.")
		}
		if err == nil && !slices.ContainsFunc(data.Devices, func(d manage.AttestedDevice) bool { return d.ID == data.Device.ID }) {
			data.Devices = append(data.Devices, data.Device)
		}
	} else if len(data.Devices) > 0 {
		data.Device = data.Devices[0]
	}
	if err == nil && data.Device.ID != "" {
		var found manage.AttestationList
		found, err = p.Service.Attestations(ctx, manage.AttestationQuery{
			AttestationFilter: attestedBy(data.Device), Part: manage.Part{Sort: "-at", Limit: tokensShown},
		})
		slices.Reverse(found.Attestations)
		data.Clock = drawClock(found.Attestations, p.Now())
	}
	data.frame = p.frame(c, clockPath, "Tokens as a clock", err)
	return ui.Render(c, http.StatusOK, clockView(data))
}

// tokensShown is how many tokens of a device are on its time line.
const tokensShown = 8

// The time line's measures, in units of its view box.
const (
	clockWidth = 760
	clockLeft  = 20
	clockRight = 740
	clockTop   = 30
	clockRow   = 30
	clockBar   = 18
)

// clock is the tokens of a device on a time line.
type clock struct {
	Tokens []lifetime // the oldest first
	Ticks  []tick
	NowX   int  // of the present
	Now    bool // the present is on the line
	Height int
}

// lifetime is when a token was issued, renewed and expires.
type lifetime struct {
	manage.Attestation
	Renewed  *time.Time    // when the next one was issued; nil: it was not yet
	Ahead    time.Duration // how long before it expired; below 0: so long after it
	X, Width int           // of its bar
	RenewedX int
	Y        int
}

type tick struct {
	X    int
	Text string
}

// rest is after how long without a token the app was not running, for all that is known. Events from
// before would make the time line so long that nothing else could be seen on it.
const rest = 2 * time.Minute

// drawClock lays out tokens, the oldest first: those since the app came back the last time.
func drawClock(tokens []manage.Attestation, now time.Time) clock {
	if len(tokens) == 0 {
		return clock{}
	}
	for i := len(tokens) - 1; i > 0; i-- {
		if tokens[i].At.Sub(tokens[i-1].ExpiresAt) > rest {
			tokens = tokens[i:]
			break
		}
	}
	from, to := tokens[0].At, tokens[0].ExpiresAt
	for _, token := range tokens {
		if token.ExpiresAt.After(to) {
			to = token.ExpiresAt
		}
	}
	span := max(to.Sub(from), time.Second)
	x := func(t time.Time) int {
		return clockLeft + int(float64(t.Sub(from))/float64(span)*(clockRight-clockLeft))
	}
	c := clock{Now: !now.Before(from) && !now.After(to), Height: clockTop + len(tokens)*clockRow + 8}
	c.NowX = x(now)
	for i, token := range tokens {
		l := lifetime{Attestation: token, X: x(token.At), Y: clockTop + i*clockRow}
		l.Width = max(2, x(token.ExpiresAt)-l.X)
		if i+1 < len(tokens) {
			next := tokens[i+1].At
			l.Renewed, l.Ahead, l.RenewedX = &next, token.ExpiresAt.Sub(next), x(next)
		}
		c.Tokens = append(c.Tokens, l)
	}
	const ticks = 5
	for i := range ticks {
		at := from.Add(span * time.Duration(i) / (ticks - 1))
		c.Ticks = append(c.Ticks, tick{X: x(at), Text: at.UTC().Format(time.TimeOnly)})
	}
	return c
}

// InTime says whether the token was renewed before it expired.
func (l lifetime) InTime() bool { return l.Renewed != nil && l.Ahead > 0 }

// RenewedWords say when a token was renewed.
func (l lifetime) RenewedWords(now time.Time) string {
	switch {
	case l.InTime():
		return fmt.Sprintf("%s before it expired", l.Ahead.Round(100*time.Millisecond))
	case l.Renewed != nil:
		return fmt.Sprintf("%s after it had expired", (-l.Ahead).Round(100*time.Millisecond))
	case now.Before(l.ExpiresAt):
		return "not yet"
	}
	return "not since"
}
