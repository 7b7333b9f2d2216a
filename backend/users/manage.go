package users

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
)

// Manage adds the management of users. Owned counts what they have, and returns what fills it
// in.
func (d *Directory) Manage(routes manage.Routes, now func() time.Time, owned func(context.Context) (fill func(*manage.User), err error)) {
	routes.GET("/users", func(c echo.Context) error {
		part, err := manage.PartOf(c)
		if err != nil {
			return err
		}
		fill, err := owned(c.Request().Context())
		if err != nil {
			return err
		}
		users := d.List(now())
		for i := range users {
			fill(&users[i])
		}
		list, err := listOf(users, c.QueryParam("search"), part)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, list)
	})
	// Then the user can sign in at once, and everybody else can guess anew.
	routes.POST("/users/:name/failed-sign-ins/clear", func(c echo.Context) error {
		name := c.Param("name")
		if !d.Knows(name) {
			return manage.NothingToChange("there is no user of that name")
		}
		d.Clear(name)
		return c.NoContent(http.StatusNoContent)
	})
}

// listOf is a part of the users, all of whom are in memory: they come from a file.
func listOf(users []manage.User, search string, part manage.Part) (manage.UserList, error) {
	search = strings.ToLower(search)
	users = slices.DeleteFunc(users, func(u manage.User) bool { return !strings.Contains(strings.ToLower(u.Name), search) })
	column, descending := strings.CutPrefix(cmp.Or(part.Sort, "name"), "-")
	order, ok := usersBy[column]
	if !ok {
		return manage.UserList{}, manage.BadRequest("sort must be name, role, sessions, tokens, families, consents or failed, with or without a - in front of it.")
	}
	slices.SortStableFunc(users, func(a, b manage.User) int { // by name, as they came, where they are equal
		if descending {
			a, b = b, a
		}
		return order(a, b)
	})
	list := manage.UserList{Users: users[min(part.From, len(users)):], Total: len(users)}
	list.Users = list.Users[:min(cmp.Or(part.Limit, manage.MostListed), len(list.Users))]
	return list, nil
}

var usersBy = map[string]func(a, b manage.User) int{
	"name":     func(a, b manage.User) int { return strings.Compare(a.Name, b.Name) },
	"sessions": func(a, b manage.User) int { return a.Sessions - b.Sessions },
	"tokens":   func(a, b manage.User) int { return a.Tokens - b.Tokens },
	"families": func(a, b manage.User) int { return a.Families - b.Families },
	"consents": func(a, b manage.User) int { return a.Consents - b.Consents },
	"failed":   func(a, b manage.User) int { return a.FailedSignIns - b.FailedSignIns },
	"role": func(a, b manage.User) int {
		switch {
		case a.Staff == b.Staff:
			return 0
		case a.Staff:
			return -1
		}
		return 1
	},
}
