package attestation

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

var deviceColumns = []ui.Column{
	{Name: "device", Label: "Device"},
	{Name: "client", Label: "App"},
	{Name: "stage", Label: "Stage"},
	{Name: "banned", Label: "State", LatestFirst: true},
	{Name: "good", Label: "Good", LatestFirst: true},
	{Name: "failing", Label: "Failing", LatestFirst: true},
	{Name: "first", Label: "First seen", LatestFirst: true},
	{Name: "seen", Label: "Last seen", LatestFirst: true},
}

var deviceStates = []ui.NavItem{{Path: "", Label: "any"}, {Path: "served", Label: "accepted"}, {Path: "banned", Label: "banned"}}

// devicesData is what the page of the devices shows.
type devicesData struct {
	frame
	List  ui.List
	Found []manage.AttestedDevice
}

func (p *Pages) devicesPage(c echo.Context) error {
	data := devicesData{List: ui.ReadList(c, deviceColumns, "-seen", "search", "stage", "state")}
	if state := data.List.Filter.Get("state"); state != "served" && state != "banned" {
		data.List.Filter.Del("state")
	}
	err := data.List.Load(func(part manage.Part) (int, error) {
		filter := data.List.Filter
		list, err := p.Service.AttestedDevices(c.Request().Context(), manage.AttestedDeviceQuery{
			Stage: filter.Get("stage"), State: filter.Get("state"), Search: filter.Get("search"), Part: part,
		})
		data.Found = list.Devices
		return list.Total, err
	})
	data.frame = p.frame(c, devicesPath, "Devices", err)
	return ui.Render(c, http.StatusOK, devicesView(data))
}

// deviceData is what the page of one device shows.
type deviceData struct {
	frame
	manage.AttestedDevice
	Latest manage.AttestationList
}

const latestShown = 10

func (p *Pages) devicePage(c echo.Context) error {
	device, err := p.device(c)
	if err != nil {
		return err
	}
	data := deviceData{AttestedDevice: device}
	data.Latest, err = p.Service.Attestations(c.Request().Context(), manage.AttestationQuery{
		AttestationFilter: attestedBy(device), Part: manage.Part{Sort: "-at", Limit: latestShown},
	})
	data.frame = p.frame(c, devicesPath, "Device "+device.Device, err)
	return ui.Render(c, http.StatusOK, deviceView(data))
}

// attestedBy are the results of a device.
func attestedBy(d manage.AttestedDevice) manage.AttestationFilter {
	return manage.AttestationFilter{Stage: d.Stage, Client: d.Client, Device: d.Device}
}

// device is the one that a page is about.
func (p *Pages) device(c echo.Context) (manage.AttestedDevice, error) {
	device, err := p.Service.AttestedDevice(c.Request().Context(), c.Param("device"))
	if refused := ui.Refusal(err); refused != nil && refused.Status == http.StatusNotFound {
		err = echo.NewHTTPError(http.StatusNotFound, "There is no such device, or not any more. “Devices” lists those that attested.")
	}
	return device, err
}

func deviceWords(d manage.AttestedDevice) string {
	return d.Device + " with " + d.Client + " at " + d.Stage
}

func devicePath(id, how string) string { return devicesPath + "/" + url.PathEscape(id) + how }

func (p *Pages) ban(c echo.Context) error {
	return p.markDevice(c, "ban a device from attesting", false,
		"is banned: it fails from its next attestation on, and all its calls are refused once the token that it has has expired.",
		&ui.Undo{Action: devicePath(c.Param("device"), "/lift"), Label: "Undo: lift the ban"})
}

func (p *Pages) lift(c echo.Context) error {
	return p.markDevice(c, "lift the ban of a device", true, "is accepted again, from its next attestation on.", nil)
}

func (p *Pages) markDevice(c echo.Context, action string, lift bool, done string, undo *ui.Undo) error {
	device, err := p.device(c)
	if err != nil {
		return err
	}
	change := jobs.Change{Action: action, Subject: deviceWords(device) + " (" + device.ID + ")", Stage: device.Stage, Undo: undo}
	return p.Runner.CarryOut(c, change, func() (string, error) {
		_, err := manage.BanAttestedDevice(c.Request().Context(), p.Service, device.ID, lift)
		return "The device " + device.Device + " " + done, err
	})
}
