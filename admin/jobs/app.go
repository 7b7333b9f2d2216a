package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/access"
	"keyladder/admin/programs"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// Runner starts jobs for the admin, with an entry in the audit log for each.
type Runner struct {
	*Jobs
	Gate     *access.Gate
	Phone    programs.Remote
	Resource programs.Remote
	Stages   catalog.Set
}

// Mount adds the routes.
func (r *Runner) Mount(e *echo.Echo) {
	e.POST("/run", r.runHere, r.Gate.SignedIn)
	e.POST("/jobs/:id/cancel", r.cancelJob, r.Gate.SignedIn)
}

func (r *Runner) cancelJob(c echo.Context) error {
	j, ok := r.Get(c.Param("id"))
	if !ok || !r.Cancel(j.ID) {
		r.Gate.Notify(c, ui.Notice{Kind: ui.Failed, Text: "This run had ended already."})
		return c.Redirect(http.StatusSeeOther, access.Back(c, "", ""))
	}
	err := r.Gate.Act(c, "cancel a run", j.Subject(), "The run was cancelled: "+j.Subject()+".", func() error {
		r.Await(c.Request().Context(), j.ID, atOnce)
		return nil
	})
	if err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, access.Back(c, "", ""))
}

// atOnce is how long a button waits for its job, so that what is quick needs no progress.
const atOnce = 900 * time.Millisecond

// Begin writes the job down, starts it and gives it a moment to end.
func (r *Runner) Begin(c echo.Context, j Job, limit time.Duration, action, subject string, do func(context.Context, *Job) error) error {
	entry, err := r.Gate.Begin(c, action, subject)
	if err != nil {
		return err
	}
	id, err := r.Start(j, limit, do, func(failure error) {
		if err := r.Gate.End(entry, failure); err != nil {
			slog.Error("admin UI: the audit log", "error", err)
		}
	})
	if err != nil {
		return errors.Join(err, r.Gate.End(entry, err))
	}
	r.Await(c.Request().Context(), id, atOnce)
	return nil
}

// BeginApp lets the genuine app run on the phone.
func (r *Runner) BeginApp(c echo.Context, stage string) error {
	return r.Begin(c, Job{Kind: App, Stages: []string{stage}, Total: 1}, appTime, "run the genuine app", stage,
		func(ctx context.Context, _ *Job) error {
			var run manage.Run
			err := r.Phone.Do(ctx, http.MethodPost, "/phone/run",
				map[string]string{"stage": stage, "reference": "admin run " + rand.Text()[:6]}, &run)
			if err != nil {
				r.KeepRun(stage, AppRun{Failure: ui.InWords(err)})
				return err
			}
			r.KeepRun(stage, AppRun{Run: run})
			if run.Identifier == "" {
				return nil
			}
			return manage.MarkWorkshop(ctx, r.Resource, []manage.Installation{{Stage: stage, Identifier: run.Identifier}})
		})
}

// PutPhone has the phone use a stage from now on.
func (r *Runner) PutPhone(c echo.Context, stage catalog.Stage) error {
	return r.Gate.Act(c, "switch the phone", stage.Slug, "The phone uses “"+stage.Title+"” from now on.", func() error {
		return r.Phone.Quick(c.Request().Context(), http.MethodPost, "/phone/stage", map[string]string{"stage": stage.Slug}, nil)
	})
}

// Panel is what came last of running the genuine app.
type Panel struct {
	Job    *Job // that is under way
	Latest *AppRun
	Now    time.Time
}

// Panel of a stage (empty: of any).
func (r *Runner) Panel(stage string) Panel {
	panel := Panel{Now: r.now()}
	if j, ok := r.Latest(func(j Job) bool {
		return j.Running() && j.Kind == App && (stage == "" || j.Stage() == stage)
	}); ok {
		panel.Job = &j
	}
	if run, ok := r.Run(stage); ok {
		panel.Latest = &run
	}
	return panel
}

// Strip is the genuine app's button on a page where something was just taken away
// from it.
type Strip struct {
	Action    string
	PutsPhone bool // on the stage, before the app runs
	Stages    catalog.Set
	Chosen    string
	Panel     Panel
	Phone     manage.Phone // nothing is known of it where it does not answer
}

// IsPhone says whether an identifier is of an installation on the phone. Every attack brings
// devices of its own, and all identifiers look alike.
func (strip Strip) IsPhone(identifier string) bool {
	return identifier != "" && slices.ContainsFunc(strip.Phone.Packages, func(p manage.Package) bool { return p.Identifier == identifier })
}

// Strip offers the built stages that fit. The stage that the page is about comes
// first, then that of the latest run, then the phone's.
func (r *Runner) Strip(c echo.Context, fits func(catalog.Policies) bool) Strip {
	strip := Strip{Action: "/run", PutsPhone: true, Panel: r.Panel("")}
	for _, stage := range r.Stages.Built() {
		if fits(stage.Policies) {
			strip.Stages = append(strip.Stages, stage)
		}
	}
	candidates := []string{c.QueryParam("at")}
	if strip.Panel.Latest != nil {
		candidates = append(candidates, strip.Panel.Latest.Stage)
	}
	strip.Phone, _ = r.Phone.Phone(c.Request().Context())
	candidates = append(candidates, strip.Phone.Stage) // only a suggestion
	for _, slug := range candidates {
		if _, ok := strip.Stages.Lookup(slug); ok {
			strip.Chosen = slug
			break
		}
	}
	return strip
}

// runHere lets the genuine app run and goes back to the page that asked for it. The phone
// is put on that stage first. Elsewhere it may need another release, which it tries on a
// phone of its own: another device, with another session than the ones on the page.
func (r *Runner) runHere(c echo.Context) error {
	stage, err := ui.BuiltStage(r.Stages, c.Request().PostForm.Get("stage"))
	if err != nil {
		return err
	}
	// Where the phone does not answer, the run says so.
	if phone, err := r.Phone.Phone(c.Request().Context()); err == nil && phone.Stage != stage.Slug {
		if err := r.PutPhone(c, stage); err != nil {
			return err
		}
	}
	if err := r.BeginApp(c, stage.Slug); err != nil {
		return err
	}
	return c.Redirect(http.StatusSeeOther, access.Back(c, stage.Slug, "the-run"))
}
