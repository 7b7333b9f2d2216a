package attestation

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
)

// releasesData is what the page of the references shows.
type releasesData struct {
	frame
	Found   []manage.Reference
	Signers []manage.Signer
	Covered map[string]manage.Coverage // by SHA-256
	Failure string                     // why what was uploaded is not registered
}

// clients are those of which signers are known.
func (d releasesData) clients() (clients []string) {
	for _, signer := range d.Signers {
		clients = append(clients, signer.Client)
	}
	slices.Sort(clients)
	return slices.Compact(clients)
}

func (p *Pages) releases(c echo.Context, failure string) releasesData {
	ctx := c.Request().Context()
	data := releasesData{Covered: map[string]manage.Coverage{}, Failure: failure}
	found, err := p.Service.References(ctx)
	signers, err2 := p.Service.Signers(ctx)
	covered, err3 := p.Service.Coverage(ctx)
	data.Found, data.Signers = found, signers
	for _, coverage := range covered {
		data.Covered[coverage.SHA256] = coverage
	}
	data.frame = p.frame(c, ReleasesPath, "Releases", errors.Join(err, err2, err3))
	return data
}

func (p *Pages) releasesPage(c echo.Context) error {
	return ui.Render(c, http.StatusOK, releasesView(p.releases(c, "")))
}

// registerPackage registers the file that a form carries.
func (p *Pages) registerPackage(c echo.Context) error {
	refuse := func(text string) error {
		return ui.Render(c, http.StatusUnprocessableEntity, releasesView(p.releases(c, text)))
	}
	header, err := c.FormFile("package")
	if err != nil || header.Size == 0 {
		return refuse("Choose the file of a package first. Nothing was registered.")
	}
	file, err := header.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	pkg, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	var registered manage.Reference
	err = p.Gate.Act(c, "register a release", ui.Cut(header.Filename, 100), "", func() (err error) {
		registered, err = p.Service.RegisterReference(c.Request().Context(), pkg)
		return err
	})
	switch {
	case ui.Refusal(err) != nil:
		return refuse(ui.InWords(err))
	case err != nil:
		return err
	}
	p.Gate.Notify(c, ui.Notice{Kind: ui.Done, Text: fmt.Sprintf("%s, release %d, is a reference: apps of this package are accepted from now on.", registered.Package, registered.Release)})
	return c.Redirect(http.StatusSeeOther, access.Back(c, "", "release-"+registered.SHA256))
}

// reference is the one that a page is about.
func (p *Pages) reference(c echo.Context) (manage.Reference, error) {
	found, err := p.Service.References(c.Request().Context())
	if err != nil {
		return manage.Reference{}, err
	}
	for _, reference := range found {
		if reference.SHA256 == c.Param("sha256") {
			return reference, nil
		}
	}
	return manage.Reference{}, echo.NewHTTPError(http.StatusNotFound, "There is no such package. “Releases” lists those that are known.")
}

func releaseWords(r manage.Reference) string {
	return fmt.Sprintf("%s, release %d, %s…", r.Package, r.Release, r.SHA256[:min(12, len(r.SHA256))])
}

func releasePath(r manage.Reference, how string) string {
	return ReleasesPath + "/" + url.PathEscape(r.SHA256) + how
}

func (p *Pages) askWithdraw(c echo.Context) error {
	reference, err := p.reference(c)
	if err != nil {
		return err
	}
	return p.Gate.Ask(c, ui.Question{
		Title: fmt.Sprintf("Withdraw release %d of %s?", reference.Release, reference.Package),
		Text:  "Apps of this package fail from their next attestation on, at every stage. Tokens that they have are accepted until they expire: within one lifetime of a token all of their calls are refused. It can be accepted again.",
		About: []string{releaseWords(reference)}, Action: releasePath(reference, "/withdraw"), Button: "Withdraw it",
	}, ReleasesPath)
}

func (p *Pages) withdraw(c echo.Context) error {
	return p.mark(c, "withdraw a release", false, "is withdrawn: its apps fail from their next attestation on.", &ui.Undo{Label: "Undo: accept it again"})
}

func (p *Pages) restore(c echo.Context) error {
	return p.mark(c, "accept a release again", true, "is accepted again, from the next attestation on.", nil)
}

func (p *Pages) mark(c echo.Context, action string, restore bool, done string, undo *ui.Undo) error {
	reference, err := p.reference(c)
	if err != nil {
		return err
	}
	if undo != nil {
		undo.Action = releasePath(reference, "/restore")
	}
	subject := releaseWords(reference)
	return p.Runner.CarryOut(c, jobs.Change{Action: action, Subject: subject, Undo: undo}, func() (string, error) {
		_, err := manage.WithdrawReference(c.Request().Context(), p.Service, reference.SHA256, restore)
		return fmt.Sprintf("Release %d of %s %s", reference.Release, reference.Package, done), err
	})
}

func (p *Pages) askWithdrawSigner(c echo.Context) error {
	client, signer := c.QueryParam("client"), c.QueryParam("signer")
	return p.Gate.Ask(c, ui.Question{
		Title:  "Withdraw a signer of " + client + "?",
		Text:   "Apps whose package this key has signed fail from their next attestation on, and no package of it can be registered. It can be accepted again.",
		About:  []string{signer},
		Action: signersPath + "/withdraw", Fields: url.Values{"client": {client}, "signer": {signer}}, Button: "Withdraw it",
	}, ReleasesPath)
}

func (p *Pages) withdrawSigner(c echo.Context) error {
	return p.changeSigner(c, "withdraw a signer", true, "The signer is withdrawn: apps of its packages fail from their next attestation on.")
}

func (p *Pages) acceptSigner(c echo.Context) error {
	return p.changeSigner(c, "accept a signer", false, "The signer is accepted from now on.")
}

func (p *Pages) changeSigner(c echo.Context, action string, withdraw bool, done string) error {
	form := c.Request().PostForm
	change := manage.SignerToAccept{Client: form.Get("client"), Signer: strings.TrimSpace(form.Get("signer")), Withdraw: withdraw}
	subject := ui.Cut(change.Signer+" of "+change.Client, 200)
	return p.Runner.CarryOut(c, jobs.Change{Action: action, Subject: subject}, func() (string, error) {
		return done, p.Service.Quick(c.Request().Context(), http.MethodPost, manage.SignersPath, change, nil)
	})
}

// chance is how likely a change is missed, for people.
func chance(missed float64) string {
	switch {
	case missed <= 0:
		return "never"
	case missed >= 0.9995:
		return "practically always"
	case missed < 1e-6:
		return "less than once in a million times"
	case missed < 0.01:
		return fmt.Sprintf("once in %s times", ui.Thousands(int64(math.Round(1/missed))))
	}
	return fmt.Sprintf("%.1f times of 100", 100*missed)
}

// perHour is how many challenges an app gets in an hour at least.
func perHour(c manage.Coverage) int {
	if c.Seconds <= 0 {
		return 0
	}
	return int(3600 / c.Seconds)
}

// inAnHour is how likely all challenges of an hour miss a change.
func inAnHour(c manage.Coverage) float64 { return math.Pow(c.Missed, float64(perHour(c))) }

// asked is the part of a package that a challenge reads, at most.
func asked(c manage.Coverage) string {
	if c.Size <= 0 {
		return "nothing"
	}
	return fmt.Sprintf("at most %.1f %%", 100*min(1, float64(c.Ranges*c.Bytes)/float64(c.Size)))
}
