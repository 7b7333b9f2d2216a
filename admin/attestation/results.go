package attestation

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/evidence"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/token"
)

var resultColumns = []ui.Column{
	{Name: "at", Label: "When", LatestFirst: true},
	{Name: "good", Label: "Result"},
	{Name: "stage", Label: "Stage"},
	{Name: "client", Label: "App"},
	{Name: "release", Label: "Release", LatestFirst: true},
	{Name: "device", Label: "Device"},
}

var outcomes = []ui.NavItem{
	{Path: string(manage.AnyOutcome), Label: "any"},
	{Path: string(manage.GoodOutcome), Label: "good"},
	{Path: string(manage.FailingOutcome), Label: "failing"},
	{Path: string(manage.WatchedOutcome), Label: "good, though watched"},
}

// resultsData is what the page of the results shows.
type resultsData struct {
	frame
	List    ui.List
	Found   []manage.Attestation
	Clients []ui.NavItem // to choose from
	Live    string       // where the page's script asks for more; empty: this part of the list does not change
	Last    time.Time    // of the latest
}

// references are the codes that an app's error screen shows.
var references = regexp.MustCompile(`(?i)^[a-z2-7]{5}-[a-z2-7]{5}$`)

func (p *Pages) resultsPage(c echo.Context) error {
	ctx := c.Request().Context()
	data := resultsData{List: ui.ReadList(c, resultColumns, "-at", "search", "stage", "client", "device", "outcome")}
	if search := data.List.Filter.Get("search"); references.MatchString(search) {
		if found, err := p.Service.Attestation(ctx, strings.ToUpper(search)); err == nil {
			return c.Redirect(http.StatusSeeOther, resultPath(found.Reference))
		}
	}
	err := data.List.Load(func(part manage.Part) (int, error) {
		list, err := p.Service.Attestations(ctx, manage.AttestationQuery{AttestationFilter: filterOf(data.List.Filter), Part: part})
		data.Found = list.Attestations
		return list.Total, err
	})
	if err == nil {
		data.Clients, err = p.clients(ctx)
	}
	data.frame = p.frame(c, Home, "Attestations", err)
	if data.List.Sort == "-at" && data.List.Page == 1 && err == nil {
		data.Live = string(data.List.With(Home+"/rows", "live", "1"))
		if len(data.Found) > 0 {
			data.Last = data.Found[0].At
		}
	}
	return ui.Render(c, http.StatusOK, resultsView(data))
}

func filterOf(values url.Values) manage.AttestationFilter {
	return manage.AttestationFilter{
		Stage: values.Get("stage"), Client: values.Get("client"), Device: values.Get("device"),
		Outcome: manage.Outcome(values.Get("outcome")), Search: values.Get("search"),
	}
}

// clients are those of which packages are known, to choose from.
func (p *Pages) clients(ctx context.Context) ([]ui.NavItem, error) {
	known, err := p.Service.References(ctx)
	options := []ui.NavItem{{Path: "", Label: "all"}}
	for _, reference := range known {
		if !slices.ContainsFunc(options, func(o ui.NavItem) bool { return o.Path == reference.Client }) {
			options = append(options, ui.NavItem{Path: reference.Client, Label: reference.Client})
		}
	}
	return options, err
}

const (
	rowsEvery = time.Second      // how often the service is asked for what is new
	rowsWait  = 20 * time.Second // how long an answer waits for it
	rowsLate  = 2 * time.Second  // by how much a result can be on record after one that is later
)

// resultRows waits for what comes after a time and answers with rows for the list. Some of them
// may have been there before.
func (p *Pages) resultRows(c echo.Context) error {
	after, err := time.Parse(time.RFC3339Nano, c.QueryParam("after"))
	if err != nil {
		return echo.NewHTTPError(http.StatusBadRequest, "after is not a time.")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), rowsWait)
	defer cancel()
	defer context.AfterFunc(p.Stopped, cancel)()
	list := ui.ReadList(c, resultColumns, "-at", "search", "stage", "client", "device", "outcome")
	var fresh []manage.Attestation
	for {
		found, err := p.Service.Attestations(ctx, manage.AttestationQuery{
			AttestationFilter: filterOf(list.Filter), Part: manage.Part{Sort: "-at", Limit: ui.PerPage},
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && len(found.Attestations) > 0 && found.Attestations[0].At.After(after) {
			fresh, list.Total = found.Attestations, found.Total
			break
		}
		select {
		case <-time.After(rowsEvery):
			continue
		case <-ctx.Done():
		}
		break
	}
	last := after
	if len(fresh) > 0 {
		last = fresh[0].At
		c.Response().Header().Set(ui.LiveCount, list.Shown()+" attestations")
	}
	fresh = slices.DeleteFunc(fresh, func(a manage.Attestation) bool { return !a.At.After(after.Add(-rowsLate)) })
	c.Response().Header().Set(ui.LiveLast, ui.ISO(last))
	return ui.Render(c, http.StatusOK, resultRowsView(fresh, p.Stages, p.Now()))
}

// wrong are the titles of the claims about which something is not as it should be.
func wrong(a manage.Attestation) string {
	var titles []string
	for _, claim := range a.Claims {
		if claim.Trust == manage.Warning || claim.Trust == manage.Contraindicated {
			titles = append(titles, strings.ToLower(claimTitles[claim.Claim]))
		}
	}
	return strings.Join(titles, ", ")
}

// resultData is what the page of one result shows.
type resultData struct {
	frame
	manage.Attestation
	Message string // page of the answer in the traffic; empty: it is not kept any more

	Known map[string]manage.DeviceCertificate // what the service knows now of the device's certificates
}

// byDevice says whether the device was asked.
func (d resultData) byDevice() bool { return d.Level == catalog.DeviceEvidence }

// certificate is one of those that lead to the device, as it is now: the device's is first.
func (d resultData) certificate(i int) manage.DeviceCertificate {
	shown := d.Said.Certificates[i]
	known, ok := d.Known[shown.Serial]
	if !ok {
		known = manage.DeviceCertificate{Serial: shown.Serial, Maker: i > 0, Root: i > 0 && i == len(d.Said.Certificates)-1}
	}
	known.Name = shown.Name
	return known
}

// debugWords say what a value of dbgstat means (RFC 9711, section 4.2.9).
var debugWords = map[string]string{
	string(evidence.DebugEnabled):             "something debugs the app",
	string(evidence.DebugDisabled):            "nothing debugs the app now",
	string(evidence.DebugDisabledSinceBoot):   "nothing has debugged it since the device was started",
	string(evidence.DebugDisabledPermanently): "nobody but the maker can debug it",
	string(evidence.DebugDisabledFully):       "nobody can debug it",
}

func (p *Pages) resultPage(c echo.Context) error {
	found, err := p.Service.Attestation(c.Request().Context(), c.Param("reference"))
	if refused := ui.Refusal(err); refused != nil && refused.Status == http.StatusNotFound {
		return echo.NewHTTPError(http.StatusNotFound, "There is no attestation with this reference code, or not any more. “Attestations” lists those that there are.")
	}
	if err != nil {
		return err
	}
	data := resultData{Attestation: found, Message: p.Message(found.Stage, found.Reference)}
	if found.Said != nil {
		var serials []string
		for _, certificate := range found.Said.Certificates {
			serials = append(serials, certificate.Serial)
		}
		if data.Known, err = p.known(c, serials...); err != nil {
			return err
		}
	}
	data.frame = p.frame(c, Home, "Attestation "+found.Reference, nil)
	return ui.Render(c, http.StatusOK, resultView(data))
}

// tokenClaims are what the token says that an attestation has led to. The token itself is not
// known here.
func (d resultData) tokenClaims() string {
	var audience any = d.Audience
	if len(d.Audience) == 1 {
		audience = d.Audience[0]
	}
	claims := map[string]any{
		"iss": d.Issuer, "sub": d.Client, "aud": audience, "iat": d.At.Unix(), "exp": d.ExpiresAt.Unix(), "jti": d.Token,
		"release": d.Release, "device": d.Device, "level": d.Level,
	}
	if d.Holder != nil {
		claims["cnf"] = map[string]any{"jwk": d.Holder}
	}
	return asJSON(claims)
}

// tokenHeader is the header of that token.
func (d resultData) tokenHeader() string {
	return asJSON(map[string]any{"alg": token.Algorithm, "kid": d.Key, "typ": integrity.Type})
}

// asJSON is an object for people, its members in the order of their names.
func asJSON(members map[string]any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(members) // texts, numbers, and keys that were read
	return strings.TrimSpace(text.String())
}

// withDevice is the list of the results of a device.
func withDevice(a manage.AttestationFilter) string {
	values := url.Values{}
	for name, value := range map[string]string{"stage": a.Stage, "client": a.Client, "device": a.Device} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return Home + "?" + values.Encode()
}

// deviceName is a device as a result names it.
func deviceName(device string) string { return cmp.Or(device, "not named") }

var sessionStates = []ui.NavItem{
	{Path: "", Label: "any"}, {Path: "waiting", Label: "waiting for evidence"}, {Path: "answered", Label: "answered"}, {Path: "expired", Label: "expired unanswered"},
}

// sessionsData is what the page of the sessions shows.
type sessionsData struct {
	frame
	List  ui.List
	Found manage.AttestationSessionList
}

func (p *Pages) sessionsPage(c echo.Context) error {
	ctx := c.Request().Context()
	data := sessionsData{List: ui.ReadList(c, nil, "", "stage", "state")}
	if !slices.ContainsFunc(sessionStates, func(s ui.NavItem) bool { return s.Path == data.List.Filter.Get("state") }) {
		data.List.Filter.Del("state")
	}
	err := data.List.Load(func(part manage.Part) (total int, err error) {
		data.Found, err = p.Service.AttestationSessions(ctx, data.List.Filter.Get("stage"), data.List.Filter.Get("state"), part)
		return data.Found.Total, err
	})
	data.frame = p.frame(c, sessionsPath, "Sessions", err)
	return ui.Render(c, http.StatusOK, sessionsView(data))
}

// Unanswered is how many sessions have expired without evidence since the service started.
func (d sessionsData) Unanswered() int64 {
	return max(0, d.Found.Opened-d.Found.Answered-int64(d.Found.Waiting))
}
