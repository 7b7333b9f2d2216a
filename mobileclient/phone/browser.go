package phone

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
)

// The user agent's pages come from anywhere, and this screen has an origin of its own. So
// nothing of their HTML is passed on: what the user agent has read out of it, texts, labels
// and values, is written into forms of ours, and no name or address of theirs becomes one
// of ours.

// errOtherPage means that a form was filled in that is not there any more.
var errOtherPage = errors.New("the page has changed meanwhile")

// showBrowser shows what the user agent shows. It can fill in the passwords that a person knows.
func (p *Phone) showBrowser(c echo.Context) error {
	who := person.Person{}
	if fill := c.QueryParam("fill"); p.people[fill] != "" {
		who = p.people.Named(fill)
	}
	page := p.own(c.Request().Context(), "Browser", "/browser", p.told())
	return render(c, http.StatusOK, browserView(page, p.device.Agent().Current(), p.people.Names(), who))
}

// browse opens an address that somebody typed.
func (p *Phone) browse(c echo.Context) error {
	address := strings.TrimSpace(c.FormValue("address"))
	if !strings.Contains(address, ":") {
		address = "https://" + address
	}
	shown, err := p.device.Agent().Open(c.Request().Context(), address, p.stage().Slug)
	return p.browsed(c, shown, err)
}

// follow follows a link of the page that is shown.
func (p *Phone) follow(c echo.Context) error {
	page, err := p.current(c)
	if err != nil {
		return p.browsed(c, nil, err)
	}
	link, err := pick(page.Links, c.FormValue("link"))
	if err != nil {
		return p.browsed(c, nil, err)
	}
	shown, err := p.device.Agent().Open(c.Request().Context(), link.URL, p.stage().Slug)
	return p.browsed(c, shown, err)
}

// submit sends a form of the page that is shown, as it was filled in.
func (p *Phone) submit(c echo.Context) error {
	page, err := p.current(c)
	if err != nil {
		return p.browsed(c, nil, err)
	}
	form, err := pick(page.Forms, c.FormValue("form"))
	if err != nil {
		return p.browsed(c, nil, err)
	}
	var pressed device.Button
	if len(form.Buttons) > 0 {
		if pressed, err = pick(form.Buttons, c.FormValue("button")); err != nil {
			return p.browsed(c, nil, err)
		}
	}
	sent, err := c.FormParams()
	if err != nil {
		return err
	}
	shown, err := p.device.Agent().Submit(c.Request().Context(), page, form, filledIn(form, sent), pressed)
	return p.browsed(c, shown, err)
}

// current is the page that is shown, if it is the one that the request is about.
func (p *Phone) current(c echo.Context) (*device.Page, error) {
	page := p.device.Agent().Current()
	if page == nil || strconv.Itoa(page.Number) != c.FormValue("page") {
		return nil, errOtherPage
	}
	return page, nil
}

// pick is the element with that number, counted from 0.
func pick[T any](list []T, number string) (T, error) {
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n >= len(list) {
		var none T
		return none, errOtherPage
	}
	return list[n], nil
}

// browsed goes to what came of it: the page, or the app that was handed an address.
func (p *Phone) browsed(c echo.Context, shown *device.Page, err error) error {
	if err != nil {
		return p.next(c, "/browser", &notice{Title: "That page can't be shown", Text: sentence(err)})
	}
	if shown != nil && shown.App != "" {
		ctx := c.Request().Context()
		if home := p.ask(ctx, func(a *device.App) (device.Screen, error) { return a.Home(ctx) }); !home.OK {
			return p.next(c, "/", refusal(home))
		}
		return p.next(c, "/", &notice{Good: true, Title: "The page led back to the app " + appLabel(shown.App)})
	}
	return p.next(c, "/browser", nil)
}

// filledIn turns what was sent with our form into values for the page's.
func filledIn(form device.Form, sent url.Values) url.Values {
	values := url.Values{}
	for i, field := range form.Fields {
		given := sent.Get(fieldName(form, i))
		switch field.Kind {
		case device.Hidden:
			values.Add(field.Name, field.Value)
		case device.Checkbox, device.Radio:
			if given == strconv.Itoa(i) {
				values.Add(field.Name, field.Value)
			} else if !values.Has(field.Name) {
				values[field.Name] = nil // or what the page has chosen would be sent
			}
		default:
			values.Add(field.Name, given)
		}
	}
	return values
}

// fieldName is what a field of a page is called in our form. Radio buttons of one name
// share one.
func fieldName(form device.Form, i int) string {
	if form.Fields[i].Kind == device.Radio {
		i = slices.IndexFunc(form.Fields, func(f device.Field) bool {
			return f.Kind == device.Radio && f.Name == form.Fields[i].Name
		})
	}
	return "field" + strconv.Itoa(i)
}

// written is what stands in a field: what the page or a person has written there. A page
// has no password to give.
func written(field device.Field, known url.Values) string {
	if value := known.Get(field.Name); value != "" && (field.Kind == device.Text || field.Kind == device.Password) {
		return value
	}
	if field.Kind == device.Password {
		return ""
	}
	return field.Value
}

// asksForPassword is whether a page has a form that does.
func asksForPassword(page *device.Page) bool {
	return slices.ContainsFunc(page.Forms, func(form device.Form) bool {
		_, asks := person.Person{}.Fill(form)
		return asks
	})
}
