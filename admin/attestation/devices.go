package attestation

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

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
	Happened []happening // the latest first
	Total    int         // attestations that are on record

	Known manage.DeviceCertificate // what the service knows of its hardware's certificate
}

// happening is something in a device's history: an attestation, or a change that an admin made.
type happening struct {
	At       time.Time
	Attested *manage.Attestation // nil: it was a change
	Change   string
}

// latestShown is how many attestations of a device are in its history.
const latestShown = 20

func (p *Pages) devicePage(c echo.Context) error {
	ctx := c.Request().Context()
	device, err := p.device(c)
	if err != nil {
		return err
	}
	latest, err := p.Service.Attestations(ctx, manage.AttestationQuery{
		AttestationFilter: attestedBy(device), Part: manage.Part{Sort: "-at", Limit: latestShown},
	})
	references, err2 := p.Service.References(ctx)
	signers, err3 := p.Service.Signers(ctx)
	data := deviceData{AttestedDevice: device, Total: latest.Total}
	var err4 error
	if device.Certificate != "" {
		var known map[string]manage.DeviceCertificate
		known, err4 = p.known(c, device.Certificate)
		data.Known = known[device.Certificate]
	}
	data.Happened = happenings(device, data.Known, latest.Attestations, references, signers)
	data.frame = p.frame(c, devicesPath, "Device "+device.Device, errors.Join(err, err2, err3, err4))
	return ui.Render(c, http.StatusOK, deviceView(data))
}

// happenings is the history of a device: what came of its attestations, its bans, and what was decided
// since it is known about its hardware's certificate, the releases that it ran, and their signers.
func happenings(device manage.AttestedDevice, certificate manage.DeviceCertificate, attested []manage.Attestation, references []manage.Reference, signers []manage.Signer) []happening {
	all := []happening{{At: device.FirstSeen, Change: "first seen"}}
	add := func(about string, events []manage.Event) {
		for _, event := range events {
			if !event.At.Before(device.FirstSeen) {
				all = append(all, happening{At: event.At, Change: about + event.What})
			}
		}
	}
	add("", device.History)
	add("certificate "+certificate.Serial+": ", certificate.History)
	releases := []int{device.Release}
	for _, a := range attested {
		all = append(all, happening{At: a.At, Attested: &a})
		releases = append(releases, a.Release)
	}
	signedBy := map[string]bool{}
	for _, r := range references {
		if r.Client == device.Client && slices.Contains(releases, r.Release) {
			signedBy[r.Signer] = true
			add(releaseWords(r)+": ", r.History)
		}
	}
	for _, signer := range signers {
		if signer.Client == device.Client && signedBy[signer.Signer] {
			add("signer "+signer.Signer+": ", signer.History)
		}
	}
	slices.SortStableFunc(all, func(a, b happening) int { return a.At.Compare(b.At) })
	slices.Reverse(all)
	return all
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
