package attestation

import (
	"context"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/jobs"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Config is what the pages need.
type Config struct {
	Stages  catalog.Set
	Service programs.Remote // the attestation service
	API     programs.Remote // the resource server
	// Message is the page of the answer in the traffic of a stage that has a text in its body; empty:
	// it is not kept any more.
	Message func(stage, text string) string
	Runner  *jobs.Runner
	Gate    *access.Gate
	Now     func() time.Time
	Stopped context.Context // pages stop to wait for results when it ends
}

// Pages are the pages.
type Pages struct{ Config }

// New makes the pages.
func New(cfg Config) *Pages { return &Pages{cfg} }

// Home is the first of the pages, and ReleasesPath the one to which packages are uploaded.
const (
	Home         = "/attestations"
	ReleasesPath = Home + "/releases"
)

const (
	sessionsPath    = Home + "/sessions"
	enforcementPath = Home + "/enforcement"
	changePath      = enforcementPath + "/change"
	signersPath     = Home + "/signers"
	devicesPath     = Home + "/devices"
	makersPath      = Home + "/makers"
	answersPath     = Home + "/answers"
	clockPath       = Home + "/clock"

	certificatesPath = makersPath + "/certificates"
	systemsPath      = makersPath + "/systems"
)

var tabs = ui.Tabs{Label: "The attestation service's", Pages: []ui.NavItem{
	{Path: Home, Label: "Attestations"},
	{Path: sessionsPath, Label: "Sessions"},
	{Path: enforcementPath, Label: "Enforcement"},
	{Path: ReleasesPath, Label: "Releases"},
	{Path: devicesPath, Label: "Devices"},
	{Path: makersPath, Label: "Makers"},
	{Path: answersPath, Label: "Good and failing answers"},
	{Path: clockPath, Label: "Tokens as a clock"},
}}

// Mount adds the routes.
func (p *Pages) Mount(e *echo.Echo) {
	in := p.Gate.SignedIn
	e.GET(Home, p.resultsPage, in)
	e.GET(Home+"/rows", p.resultRows, p.Gate.SignedInQuietly)
	e.GET(Home+"/:reference", p.resultPage, in)
	e.GET(sessionsPath, p.sessionsPage, in)
	e.GET(enforcementPath, p.enforcementPage, in)
	e.GET(changePath, p.askEnforce, in)
	e.POST(changePath, p.enforce, in)
	e.GET(ReleasesPath, p.releasesPage, in)
	e.POST(ReleasesPath, p.registerPackage, in)
	e.GET(ReleasesPath+"/:sha256/withdraw", p.askWithdraw, in)
	e.POST(ReleasesPath+"/:sha256/withdraw", p.withdraw, in)
	e.POST(ReleasesPath+"/:sha256/restore", p.restore, in)
	e.POST(signersPath, p.acceptSigner, in)
	e.GET(signersPath+"/withdraw", p.askWithdrawSigner, in)
	e.POST(signersPath+"/withdraw", p.withdrawSigner, in)
	e.GET(devicesPath, p.devicesPage, in)
	e.GET(devicesPath+"/:device", p.devicePage, in)
	e.POST(devicesPath+"/:device/ban", p.ban, in)
	e.POST(devicesPath+"/:device/lift", p.lift, in)
	e.GET(makersPath, p.makersPage, in)
	e.GET(certificatesPath+"/revoke", p.askRevoke, in)
	e.POST(certificatesPath+"/:serial/revoke", p.revoke, in)
	e.POST(certificatesPath+"/:serial/restore", p.acceptAgain, in)
	e.POST(systemsPath, p.acceptSystem, in)
	e.GET(systemsPath+"/withdraw", p.askWithdrawSystem, in)
	e.POST(systemsPath+"/withdraw", p.withdrawSystem, in)
	e.GET(answersPath, p.answersPage, in)
	e.GET(clockPath, p.clockPage, in)
}

// attests says whether apps attest at a stage.
func attests(p catalog.Policies) bool {
	return p.Attestation.Level != catalog.NotAttested && p.Attestation.Level != ""
}

// stages are those that are built at which apps attest.
func (p *Pages) stages() catalog.Set {
	var stages catalog.Set
	for _, stage := range p.Stages.Built() {
		if attests(stage.Policies) {
			stages = append(stages, stage)
		}
	}
	return stages
}

// frame is what the pages show around their own.
type frame struct {
	ui.Page
	Tabs    ui.Tabs
	Stages  catalog.Set // of all
	Attest  catalog.Set // of those at which apps attest
	Strip   jobs.Strip
	Now     time.Time
	Silence string // why what the page is about can't be shown
}

// frame begins a page under a tab. It takes the notice that waits, so it is made last.
func (p *Pages) frame(c echo.Context, path, title string, err error) frame {
	f := frame{
		Page: p.Gate.Page(c, title, Home), Tabs: tabs.At(path, title), Stages: p.Stages, Attest: p.stages(), Now: p.Now(),
		Strip: p.Runner.Strip(c, attests),
	}
	f.Waiting = f.Strip.Panel.Job != nil
	if err != nil {
		f.Silence = ui.InWords(err)
	}
	return f
}

// claimTitles are the claims in words.
var claimTitles = map[manage.ClaimName]string{
	manage.Executables: "Executables", manage.Runtime: "Runtime", manage.Configuration: "Configuration", manage.Instance: "Instance identity",
}

// claimWords say what a claim is about.
var claimWords = map[manage.ClaimName]string{
	manage.Executables:   "Is it the program that was published?",
	manage.Runtime:       "What does it run under: a debugger, code of others?",
	manage.Configuration: "How are its device and its connection set up?",
	manage.Instance:      "Which installation is it?",
}

// policyWords are what is in force about a claim, in short: the catalog explains it after a colon.
func policyWords(policy catalog.Claim) string {
	short, _, _ := strings.Cut(catalog.InWords(policy), ":")
	return short
}
