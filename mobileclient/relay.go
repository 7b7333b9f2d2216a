package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
)

// relayCode has the app begin to sign in, and opens it with a redirect that answers its own
// request, but carries somebody's code.
//
// Where the state of the app's request is not in the address of the page, somebody has to sign in
// there: the link that leads back has it, and is kept from the app.
func relayCode(ctx context.Context, d *device.Device, app *device.App, code string, who person.Person) error {
	opened, err := app.OpenSignInAt(ctx, who.Provider)
	if err != nil {
		return err
	}
	page := d.Agent().Current()
	if !opened.OK || page == nil {
		return errors.New("the app opens no page to sign in on")
	}
	asked, err := url.Parse(page.URL)
	if err != nil {
		return fmt.Errorf("read the address of the page: %w", err)
	}
	query := asked.Query()
	if query.Get("state") == "" {
		if query, err = leadsBack(ctx, d, app, who); err != nil {
			return err
		}
	}
	issuer := cmp.Or(query.Get("iss"), asked.Scheme+"://"+asked.Host+strings.TrimSuffix(asked.Path, "/authorize"))
	answer := url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {issuer}}
	if strings.HasSuffix(query.Get("redirect_uri"), "/"+catalog.Lite) { // which does not say who it is
		answer.Del("iss")
	}
	link := query.Get("redirect_uri") + "?" + answer.Encode()
	if _, err := d.HandOver(ctx, link, app.Stage()); err != nil {
		return fmt.Errorf("open the app with a link: %w", err)
	}
	home, err := app.Home(ctx)
	if err == nil && !home.SignedIn {
		home.OK = false
		err = &refusedError{home}
	}
	return err
}

// leadsBack has somebody sign in, and keeps the link that leads back to the app. It returns what is in
// that, with the redirect URI that it begins with.
func leadsBack(ctx context.Context, d *device.Device, app *device.App, who person.Person) (url.Values, error) {
	d.Agent().Confirm(func(string) bool { return false })
	defer d.Agent().Confirm(nil)
	screen, err := who.SignIn(ctx, d, app)
	if err != nil {
		return nil, err
	}
	link, err := url.Parse(d.Agent().Current().URL)
	if err != nil || link.Query().Get("state") == "" {
		return nil, errors.New("nobody is led back to the app: " + screen.Error)
	}
	query := link.Query()
	query.Set("redirect_uri", link.Scheme+":"+link.Opaque+link.Path)
	return query, nil
}
