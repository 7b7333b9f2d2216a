package usage

import (
	"testing"
	"time"

	"keyladder/internal/manage"
)

func TestChart(t *testing.T) {
	t.Parallel()
	today := time.Date(2026, 11, 21, 23, 0, 0, 0, time.UTC)
	c := Draw("harbour-mobile", []manage.Usage{
		{Day: "2026-11-21", App: "harbour-mobile", Served: 300, Refused: 1},
		{Day: "2026-11-21", App: "harbour-mobile", Served: 100},
		{Day: "2026-11-21", App: "harbour-ops", Served: 1000},
		{Day: "2026-11-08", App: "harbour-mobile", Served: 5},
		{Day: "2026-11-01", App: "harbour-mobile", Served: 7},
	}, today)
	last := c.Days[Days-1]
	if c.Top != 500 || c.Served != 405 || c.Refused != 1 || last.Day != "2026-11-21" || last.Served != 400 {
		t.Errorf("chart: %+v", c)
	}
	if last.RefusedY >= last.ServedY || last.RefusedY < chartTop || c.Days[0].ServedY >= chartFloor || c.Days[1].ServedY != chartFloor {
		t.Errorf("bars: %+v", c.Days)
	}
	if last.X+last.Width > chartWidth {
		t.Errorf("the last bar ends at %d", last.X+last.Width)
	}
}
