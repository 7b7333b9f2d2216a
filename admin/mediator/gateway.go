package mediator

import (
	"net/http"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/admin/usage"
	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// throughGateway says whether a stage's calls lead through the gateway.
func throughGateway(p catalog.Policies) bool { return p.Call.Gateway == catalog.ThroughGateway }

// gatewayData is what the page of the gateway shows.
type gatewayData struct {
	frame
	manage.Gateway
	Absent  bool // no stage that is built has one
	Decided []routeUsage
	Others  []usage.Route // that the mediator answers, and are no routes of the gateway
	Quotas  []manage.Quota
	Unknown string // why the quotas can't be shown
}

// routeUsage is a route of the gateway at a stage, with what its guard has decided.
type routeUsage struct {
	Stage string
	manage.GatewayRoute
	Passed, Refused int64
}

func (p *Pages) gatewayPage(c echo.Context) error {
	ctx := c.Request().Context()
	var data gatewayData
	var calls []manage.Usage
	var unknown error
	var group errgroup.Group
	group.Go(func() (err error) { data.Gateway, err = p.Mediator.Gateway(ctx); return err })
	group.Go(func() (err error) { calls, err = p.Mediator.Usage(ctx, usage.Days); return err })
	group.Go(func() error { data.Quotas, unknown = p.Rates.Quotas(ctx); return nil }) // the gateway is worth showing without them
	err := group.Wait()
	if why := ui.Refusal(err); why != nil && why.Status == http.StatusNotFound {
		data.Absent, err = true, nil
	}
	if unknown != nil {
		data.Unknown = ui.InWords(unknown)
	}
	data.Decided, data.Others = decided(data.Gateway, calls)
	data.frame = p.frame(c, gatewayPath, "Gateway", err)
	data.Strip = p.Runner.Strip(c, throughGateway)
	data.Waiting = data.Strip.Panel.Job != nil
	return ui.Render(c, http.StatusOK, gatewayView(data))
}

// decided are the routes of the gateway, stage by stage, with the calls that its guard has decided
// about, of all apps and of none; and the mediator's other routes.
func decided(gateway manage.Gateway, calls []manage.Usage) (routes []routeUsage, others []usage.Route) {
	sums := map[[2]string]usage.Route{}
	for _, u := range calls {
		key := [2]string{u.Stage, u.Route}
		sum := sums[key]
		sum.Stage, sum.Route, sum.Served, sum.Refused = u.Stage, u.Route, sum.Served+u.Served, sum.Refused+u.Refused
		sums[key] = sum
	}
	for _, stage := range gateway.Stages {
		for _, route := range gateway.Routes {
			key := [2]string{stage, route.Method + " " + route.Path}
			routes = append(routes, routeUsage{stage, route, sums[key].Served, sums[key].Refused})
			delete(sums, key)
		}
	}
	var rest []manage.Usage
	for _, sum := range sums {
		rest = append(rest, manage.Usage{Stage: sum.Stage, Route: sum.Route, Served: sum.Served, Refused: sum.Refused})
	}
	return routes, usage.ByRoute("", rest)
}

// byWhom is who answers a route, in words.
func byWhom(route manage.GatewayRoute) string {
	if route.By == string(deployment.Rates) {
		return "a third party, asked by the gateway"
	}
	return "the API"
}

// switchWAF switches the web application firewall.
func (p *Pages) switchWAF(c echo.Context) error {
	on := c.Request().PostForm.Get("on") == "yes"
	action, done := "switch the web application firewall off", "The web application firewall is off. The gateway's own checks go on."
	if on {
		action, done = "switch the web application firewall on", "The web application firewall looks at every call that the gateway's checks have let through."
	}
	return p.Runner.CarryOut(c, jobs.Change{Action: action, Subject: "gateway"}, func() (string, error) {
		return done, p.Mediator.SwitchWAF(c.Request().Context(), on)
	})
}
