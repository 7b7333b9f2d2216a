package manage

import (
	"cmp"
	"context"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

var deviceColumns = []ui.Column{
	{Name: "identifier", Label: "Identifier"},
	{Name: "app", Label: "App"},
	{Name: "stage", Label: "Stage"},
	{Name: "banned", Label: "State", LatestFirst: true},
	{Name: "registered", Label: "Registered", LatestFirst: true},
	{Name: "seen", Label: "Last seen", LatestFirst: true},
}

var devices = kind[manage.Device, manage.DeviceFilter]{
	One: "device", Many: "devices", Filters: []string{"search", "stage", "state", "by"}, States: deviceStates,
	Filter: func(values url.Values) manage.DeviceFilter {
		return manage.DeviceFilter{Search: values.Get("search"), Stage: values.Get("stage"), State: values.Get("state"), By: maker(values.Get("by"))}
	},
	Search: func(id string) manage.DeviceFilter { return manage.DeviceFilter{Search: id} },
	Read: func(ctx context.Context, server programs.Remote, filter manage.DeviceFilter, part manage.Part) ([]manage.Device, int, error) {
		list, err := server.Devices(ctx, manage.DeviceQuery{DeviceFilter: filter, Part: part})
		return list.Devices, list.Total, err
	},
	ID:    func(device manage.Device) string { return device.ID },
	Stage: func(device manage.Device) string { return device.Stage },
	Words: deviceWords,
	Selection: func(s selection, filter manage.DeviceFilter) any {
		return manage.DeviceSelection{IDs: s.IDs, All: s.All, DeviceFilter: filter}
	},
}

// devicesData is what the page of the devices shows.
type devicesData struct {
	listed
	Devices []manage.Device
}

func (a section) devicesPage(c echo.Context) error {
	data := devicesData{listed: a.listed(c, "/devices", "Devices", deviceColumns, "-seen", devices.Filters, registersDevices)}
	if _, ok := data.Strip.Stages.Lookup(data.List.Filter.Get("stage")); !ok {
		data.List.Filter.Del("stage")
	}
	if state := data.List.Filter.Get("state"); state != "served" && state != "banned" {
		data.List.Filter.Del("state")
	}
	found, p, err := devices.list(a, c, &data.listed)
	if err != nil {
		return err
	}
	data.Devices = found
	return ui.Render(c, http.StatusOK, devicesView(p, data, a.Stages, a.Now()))
}

func deviceWords(device manage.Device) string { return device.Identifier + " at " + device.Stage }

// toDevices is something that is done to devices.
type toDevices struct {
	Path   string // here and, below /devices, in the management API
	Action string
	Verb   string // of the button
	Text   string // what it means, for the question
	Done   func(count int) string
}

var (
	banning = toDevices{
		Path: "/devices/ban", Action: "ban devices", Verb: "Ban",
		Text: "Their next calls are refused, and they can't be registered anew under their identifiers, until they are allowed again. Nothing keeps an owner from installing the app anew.",
		Done: func(count int) string {
			return ui.Plural(count, "device is", "devices are") + " banned: the next call of each is refused. They can be allowed again."
		},
	}
	allowing = toDevices{
		Path: "/devices/allow", Action: "allow devices",
		Done: func(count int) string { return ui.Plural(count, "device is", "devices are") + " served again." },
	}
	removing = toDevices{
		Path: "/devices/remove", Action: "remove devices", Verb: "Remove",
		Text: "They are forgotten, and their GUIDs are void. That keeps nobody out: an app that is refused for it registers its installation again by itself, once, and goes on. To refuse an installation, ban it.",
		Done: func(count int) string {
			return ui.Plural(count, "device is", "devices are") + " removed. An app that is still there registers again with its next call."
		},
	}
)

// askDevices asks before something is done to devices.
func (a section) askDevices(what toDevices) echo.HandlerFunc {
	return func(c echo.Context) error {
		selection, any := chosen(c.QueryParams(), devices.Filters...)
		if !any {
			return a.nothingChosen(c)
		}
		text := what.Text
		if what.Path == removing.Path {
			if selection.All && selection.Filter.Get("state") == "" {
				selection.Filter.Set("state", "served")
				text += " Those that are banned stay: choose them, or list them alone, to end their bans with it."
			}
		}
		return devices.ask(a, c, selection, what.Verb, text, what.Path)
	}
}

func (a section) changeDevices(what toDevices) echo.HandlerFunc {
	return func(c echo.Context) error {
		return devices.change(a, c, change{Action: what.Action, Path: what.Path}, what.Done)
	}
}

func (a section) banDevice(c echo.Context) error {
	return a.markDevice(c, "ban a device", "ban", "is banned: its next call is refused. If it is the phone's, a run of the genuine app shows it.", "allow")
}

func (a section) allowDevice(c echo.Context) error {
	return a.markDevice(c, "allow a device", "allow", "is served again.", "")
}

func (a section) markDevice(c echo.Context, action, how, done, undo string) error {
	id := c.Param("device")
	marking := change{Action: action, Subject: id, Path: "/devices/" + url.PathEscape(id) + "/" + how}
	name := id
	if found, _, err := devices.find(a, c, selection{IDs: []string{id}}); err == nil && len(found) == 1 { // for the words
		name, marking.Stage = found[0].Identifier, found[0].Stage
		marking.Subject = deviceWords(found[0]) + " (" + id + ")"
	}
	marking.Done = "The device " + name + " " + done
	if undo != "" {
		marking.Undo = &ui.Undo{Action: "/devices/" + url.PathEscape(id) + "/" + undo, Label: "Undo: allow it again"}
	}
	return a.take(c, marking)
}

// phoneDevices is where the phone's own devices are listed; empty: it has none.
func (d devicesData) phoneDevices() (links []ui.NavItem) {
	for _, pkg := range d.Strip.Phone.Packages {
		if pkg.Identifier != "" {
			links = append(links, ui.NavItem{Path: "/devices?" + url.Values{"search": {pkg.Identifier}}.Encode(), Label: cmp.Or(pkg.Label, pkg.Name)})
		}
	}
	return links
}
