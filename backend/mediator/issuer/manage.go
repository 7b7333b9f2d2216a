package issuer

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"keyladder/backend/mediator/sessions"
	"keyladder/internal/manage"
	"keyladder/internal/store"
)

// Manage adds the management of sessions. See [manage.MediatorSessionsPath].
func (s *Server) Manage(routes manage.Routes) {
	routes.GET(manage.MediatorSessionsPath, s.listSessions)
	routes.POST(manage.MediatorSessionsPath+"/end", s.endSelected)
}

func (s *Server) listSessions(c echo.Context) error {
	query := manage.MediatorSessionQuery{MediatorSessionFilter: manage.MediatorSessionFilter{
		User: c.QueryParam("user"), Client: c.QueryParam("client"), Stage: c.QueryParam("stage"), Provider: c.QueryParam("provider"), Device: c.QueryParam("device"),
		State: c.QueryParam("state"), Search: c.QueryParam("search"),
	}}
	var err error
	if query.Part, err = manage.PartOf(c); err != nil {
		return err
	}
	if err := checkFilter(query.MediatorSessionFilter); err != nil {
		return err
	}
	ctx := c.Request().Context()
	list, err := s.sessions.Query(ctx, query)
	if err != nil {
		return store.Problem(err)
	}
	origins := make([]string, len(list.Sessions))
	for i, session := range list.Sessions {
		origins[i] = session.ID
	}
	families, err := s.families.OfOrigins(ctx, origins...)
	if err != nil {
		return err
	}
	for i, origin := range origins {
		if family, ok := families[origin]; ok {
			list.Sessions[i].Family = &family
		}
	}
	return c.JSON(http.StatusOK, list)
}

func checkFilter(f manage.MediatorSessionFilter) error {
	if !slices.Contains([]string{"", "good", "ended"}, f.State) {
		return manage.BadRequest("state must be good, ended, or nothing.")
	}
	return nil
}

// endSelected ends sessions, and all that came of them. A selection of nothing in particular is
// refused: it would be all of them.
func (s *Server) endSelected(c echo.Context) error {
	selection, err := manage.Read[manage.MediatorSessionSelection](c)
	if err != nil {
		return err
	}
	if len(selection.IDs) == 0 && !selection.All && selection.MediatorSessionFilter == (manage.MediatorSessionFilter{}) {
		return manage.Unprocessable("Say which sessions.")
	}
	if err := checkFilter(selection.MediatorSessionFilter); err != nil {
		return err
	}
	ctx := c.Request().Context()
	ids, err := s.sessions.Selected(ctx, selection)
	if err == nil {
		err = s.endFamilies(ctx, ids...)
	}
	if err == nil {
		err = s.endSessions(ctx, sessions.AdminEnded, ids...)
	}
	return manage.SayChanged(c)(len(ids), err)
}
