package usage

import (
	"cmp"
	"slices"
	"time"

	"keyladder/internal/manage"
)

// Days is over how many days usage is shown.
const Days = 14

// The chart's measures, in units of its view box.
const (
	chartWidth  = 460
	chartHeight = 190
	chartLeft   = 50
	chartTop    = 16
	chartFloor  = 156
)

// Chart is the usage of one app over the latest days, laid out.
type Chart struct {
	App             string
	Days            []day // oldest first
	Top             int64 // calls at the upper line
	Served, Refused int64
}

type day struct {
	Day             string
	Served, Refused int64
	X, Width        int
	ServedY         int // upper edge of the served part
	RefusedY        int // upper edge of the refused part, on top of it
}

// Draw lays out the usage of an app up to today.
func Draw(app string, usage []manage.Usage, today time.Time) Chart {
	c := Chart{App: app}
	byDay := map[string]*day{}
	for i := range Days {
		c.Days = append(c.Days, day{Day: today.UTC().AddDate(0, 0, i-Days+1).Format(time.DateOnly)})
	}
	for i := range c.Days {
		byDay[c.Days[i].Day] = &c.Days[i]
	}
	for _, u := range usage {
		if day := byDay[u.Day]; day != nil && u.App == app {
			day.Served += u.Served
			day.Refused += u.Refused
		}
	}
	highest := int64(1)
	for _, day := range c.Days {
		highest = max(highest, day.Served+day.Refused)
		c.Served += day.Served
		c.Refused += day.Refused
	}
	c.Top = roundUp(highest)
	step := (chartWidth - chartLeft - 8) / Days
	for i := range c.Days {
		day := &c.Days[i]
		day.X, day.Width = chartLeft+i*step+4, step-8
		day.ServedY = chartFloor - c.height(day.Served)
		day.RefusedY = day.ServedY - c.height(day.Refused)
	}
	return c
}

// height never lets a day with calls look like one without.
func (c Chart) height(calls int64) int {
	if calls == 0 {
		return 0
	}
	return max(2, int(calls*(chartFloor-chartTop)/c.Top))
}

// roundUp is the next 1, 2 or 5 with zeros.
func roundUp(n int64) int64 {
	for unit := int64(1); ; unit *= 10 {
		for _, times := range []int64{1, 2, 5} {
			if unit*times >= n {
				return unit * times
			}
		}
	}
}

// Route is the usage of one route at one stage, over all days.
type Route struct {
	Stage, Route    string
	Served, Refused int64
}

// ByRoute sums up the usage of an app.
func ByRoute(app string, usage []manage.Usage) []Route {
	var list []Route
	for _, u := range usage {
		if u.App != app {
			continue
		}
		i := slices.IndexFunc(list, func(r Route) bool { return r.Stage == u.Stage && r.Route == u.Route })
		if i < 0 {
			i = len(list)
			list = append(list, Route{Stage: u.Stage, Route: u.Route})
		}
		list[i].Served += u.Served
		list[i].Refused += u.Refused
	}
	slices.SortFunc(list, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.Route, b.Route))
	})
	return list
}
