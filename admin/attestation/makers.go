package attestation

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// makersData is what the page of the makers shows.
type makersData struct {
	frame
	Makers  []manage.DeviceCertificate // that lead to devices
	Devices []manage.DeviceCertificate // that are revoked, or were
	Systems []manage.AcceptedSystem
	Key     string // of a system that may be allowed, from another page
	Name    string // of that system
}

// asks says whether devices are asked at a stage that is built.
func (d makersData) asks() bool {
	return slices.ContainsFunc(d.Attest, func(s catalog.Stage) bool { return s.Attestation.Level == catalog.DeviceEvidence })
}

func (p *Pages) makersPage(c echo.Context) error {
	ctx := c.Request().Context()
	data := makersData{Key: c.QueryParam("key"), Name: c.QueryParam("name")}
	certificates, err := p.Service.DeviceCertificates(ctx)
	for _, found := range certificates {
		if found.Maker {
			data.Makers = append(data.Makers, found)
		} else {
			data.Devices = append(data.Devices, found)
		}
	}
	systems, err2 := p.Service.Systems(ctx)
	data.Systems = systems
	data.frame = p.frame(c, makersPath, "Makers", errors.Join(err, err2))
	return ui.Render(c, http.StatusOK, makersView(data))
}

// known is what the service knows of certificates, by their serial numbers.
func (p *Pages) known(c echo.Context, serials ...string) (map[string]manage.DeviceCertificate, error) {
	found, err := p.Service.DeviceCertificates(c.Request().Context(), serials...)
	known := map[string]manage.DeviceCertificate{}
	for _, certificate := range found {
		known[certificate.Serial] = certificate
	}
	return known, err
}

// kindWords say what a certificate of a maker's, or of a device, leads to.
func kindWords(certificate manage.DeviceCertificate) string {
	switch {
	case certificate.Root:
		return "root: it certifies what certifies devices"
	case certificate.Maker:
		return "intermediate: it certifies devices"
	}
	return "a device's: it signs evidence"
}

// serialOf is a serial number as the service has it, however it was copied: with colons, in capitals,
// with zeros before it.
func serialOf(text string) string {
	digits := strings.NewReplacer(":", "", " ", "").Replace(strings.TrimSpace(text))
	return strings.TrimLeft(strings.ToLower(digits), "0")
}

func revokePath(serial string) templ.SafeURL {
	return templ.SafeURL(certificatesPath + "/revoke?" + url.Values{"serial": {serial}}.Encode())
}

func certificatePath(serial, how string) string {
	return certificatesPath + "/" + url.PathEscape(serial) + how
}

// mostAbout is how many devices a question names.
const mostAbout = 5

func (p *Pages) askRevoke(c echo.Context) error {
	serial := serialOf(c.QueryParam("serial"))
	if serial == "" {
		return echo.NewHTTPError(http.StatusNotFound, "There is no certificate without a serial number. “Makers” lists those that are known.")
	}
	known, err := p.known(c, serial)
	if err != nil {
		return err
	}
	const soon = " from its next attestation on, at every stage that asks devices. The tokens that its apps have are accepted until they expire: within one lifetime of a token all of their calls are refused. It can be accepted again."
	certificate := known[serial]
	question := ui.Question{About: []string{serial}, Action: certificatePath(serial, "/revoke"), Button: "Revoke it"}
	switch {
	case certificate.Root:
		question.Title = "Revoke the root of " + certificate.Name + "?"
		question.Text = "Every device of this maker fails," + soon
	case certificate.Maker:
		question.Title = "Revoke the certificate of " + certificate.Name + "?"
		question.Text = "Every device that it has certified fails," + soon
	default:
		question.Title = "Revoke the certificate of a device?"
		question.Text = "Evidence that the hardware of this device signs is not believed any more, whichever app it is about. The device fails" + soon
		devices, err := p.Service.AttestedDevices(c.Request().Context(), manage.AttestedDeviceQuery{Search: serial, Part: manage.Part{Limit: mostAbout}})
		if err != nil {
			return err
		}
		for _, device := range devices.Devices {
			question.About = append(question.About, deviceWords(device))
		}
		question.More = devices.Total - len(devices.Devices)
	}
	return p.Gate.Ask(c, question, makersPath)
}

func (p *Pages) revoke(c echo.Context) error {
	undo := &ui.Undo{Action: certificatePath(c.Param("serial"), "/restore"), Label: "Undo: accept it again"}
	return p.markCertificate(c, "revoke a certificate", false, "is revoked: devices that it leads to fail from their next attestation on.", undo)
}

func (p *Pages) acceptAgain(c echo.Context) error {
	return p.markCertificate(c, "accept a certificate again", true, "is accepted again, from the next attestation on.", nil)
}

func (p *Pages) markCertificate(c echo.Context, action string, restore bool, done string, undo *ui.Undo) error {
	serial := c.Param("serial")
	subject := ui.Cut(serial, 100)
	known, err := p.known(c, serial)
	if err != nil {
		return err
	}
	if certificate := known[serial]; certificate.Maker {
		subject = certificate.Name + " (" + subject + ")"
	}
	return p.Runner.CarryOut(c, jobs.Change{Action: action, Subject: subject, Undo: undo}, func() (string, error) {
		_, err := manage.RevokeCertificate(c.Request().Context(), p.Service, manage.CertificateToRevoke{Serial: serial, Restore: restore})
		return "The certificate " + subject + " " + done, err
	})
}

func (p *Pages) askWithdrawSystem(c echo.Context) error {
	key := c.QueryParam("key")
	systems, err := p.Service.Systems(c.Request().Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(systems, func(s manage.AcceptedSystem) bool { return s.Key == key })
	if i < 0 {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such boot key. “Makers” lists those that are known.")
	}
	return p.Gate.Ask(c, ui.Question{
		Title:  "Withdraw the boot key of " + systems[i].Name + "?",
		Text:   "Devices that have started a system which this key has signed fail from their next attestation on, at every stage that asks devices. The tokens that their apps have are accepted until they expire. It can be accepted again.",
		About:  []string{key},
		Action: systemsPath + "/withdraw", Fields: url.Values{"key": {key}}, Button: "Withdraw it",
	}, makersPath)
}

func (p *Pages) withdrawSystem(c echo.Context) error {
	return p.changeSystem(c, "withdraw a boot key", true, "The boot key is withdrawn: devices that have started its systems fail from their next attestation on.")
}

func (p *Pages) acceptSystem(c echo.Context) error {
	return p.changeSystem(c, "accept a boot key", false, "The boot key is accepted from now on.")
}

func (p *Pages) changeSystem(c echo.Context, action string, withdraw bool, done string) error {
	form := c.Request().PostForm
	change := manage.SystemToAccept{Key: strings.TrimSpace(form.Get("key")), Name: strings.TrimSpace(form.Get("name")), Withdraw: withdraw}
	subject := ui.Cut(strings.TrimSpace(change.Key+" "+change.Name), 200)
	return p.Runner.CarryOut(c, jobs.Change{Action: action, Subject: subject}, func() (string, error) {
		_, err := manage.AcceptSystem(c.Request().Context(), p.Service, change)
		return done, err
	})
}
