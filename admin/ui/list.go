package ui

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"keyladder/internal/manage"
)

// PerPage is how many entries of a list are on a page.
const PerPage = 25

// List is the part of a long list that a page shows: what is looked for, in which order, and
// which page of how many. All of it is in the page's address.
type List struct {
	Path    string
	Columns []Column
	Filter  url.Values // what is looked for, by the names of the form's fields
	Sort    string     // a column's name, with a "-" in front of it for the other way round
	Page    int        // from 1
	Total   int        // entries that fit
	usual   string     // how it is sorted where nothing is said
}

// Column is something that a list can be sorted by.
type Column struct {
	Name, Label string
	LatestFirst bool // when it is sorted by for the first time: it is a time or a number
}

// ReadList reads from a page's address which part of its list is asked for. Parameters that are not
// valid are left out.
func ReadList(c echo.Context, columns []Column, usual string, filters ...string) List {
	l := List{Path: c.Request().URL.Path, Columns: columns, Filter: url.Values{}, Sort: usual, usual: usual, Page: 1}
	for _, name := range filters {
		if value := Cut(strings.TrimSpace(c.QueryParam(name)), 200); value != "" {
			l.Filter.Set(name, value)
		}
	}
	sort := c.QueryParam("sort")
	if slices.ContainsFunc(columns, func(column Column) bool { return column.Name == strings.TrimPrefix(sort, "-") }) {
		l.Sort = sort
	}
	if page, err := strconv.Atoi(c.QueryParam("page")); err == nil && page > 1 {
		l.Page = min(page, 1_000_000)
	}
	return l
}

// Load reads the part of the list that is on the page. Where that lies behind the end, for
// example since its entries were removed, it is the last page.
func (l *List) Load(read func(manage.Part) (total int, err error)) (err error) {
	for range 2 {
		l.Total, err = read(manage.Part{Sort: l.Sort, From: (l.Page - 1) * PerPage, Limit: PerPage})
		if err != nil || l.Page <= l.Pages() {
			return err
		}
		l.Page = l.Pages()
	}
	return nil
}

// Part is the part of a list that is in memory already, for [List.Load].
func Part[T any](all []T, part manage.Part) []T {
	all = all[min(part.From, len(all)):]
	return all[:min(part.Limit, len(all))]
}

// Pages is how many there are: one at least.
func (l List) Pages() int { return max(1, (l.Total+PerPage-1)/PerPage) }

// Shown says which entries are on the page.
func (l List) Shown() string {
	if l.Total <= PerPage {
		return Thousands(int64(l.Total))
	}
	from := (l.Page-1)*PerPage + 1
	return fmt.Sprintf("%s to %s of %s", Thousands(int64(from)), Thousands(int64(min(from+PerPage-1, l.Total))), Thousands(int64(l.Total)))
}

// Filtered says whether something is looked for.
func (l List) Filtered() bool { return len(l.Filter) > 0 }

// URL is the page's address with a number of another page and another order.
func (l List) URL(page int, sort string) templ.SafeURL {
	values := maps.Clone(l.Filter)
	if sort != l.usual {
		values.Set("sort", sort)
	}
	if page > 1 {
		values.Set("page", N(page))
	}
	return address(l.Path, values)
}

// With is the address of the list, or of what is done with it, with another filter.
func (l List) With(path, name, value string) templ.SafeURL {
	values := maps.Clone(l.Filter)
	values.Set(name, value)
	if value == "" {
		values.Del(name)
	}
	return address(path, values)
}

func address(path string, values url.Values) templ.SafeURL {
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	return templ.SafeURL(path)
}

// sorted says how the list is sorted by a column: ascending, descending or none.
func (l List) sorted(column Column) string {
	switch l.Sort {
	case column.Name:
		return "ascending"
	case "-" + column.Name:
		return "descending"
	}
	return "none"
}

// next is how the list is sorted when its column's head is clicked.
func (l List) next(column Column) string {
	switch {
	case l.Sort == column.Name, l.Sort != "-"+column.Name && column.LatestFirst:
		return "-" + column.Name
	}
	return column.Name
}

// column is one of the list's.
func (l List) column(name string) Column {
	i := slices.IndexFunc(l.Columns, func(column Column) bool { return column.Name == name })
	return l.Columns[i]
}

// ChosenForm is the form to which the boxes of a list belong, wherever they are on the page, and
// RowForm that of the buttons in its rows.
const (
	ChosenForm = "chosen"
	RowForm    = "row"
)
