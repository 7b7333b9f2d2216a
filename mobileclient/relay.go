package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"keyladder/mobileclient/device"
)

// relayCode has the app begin to sign in, and opens it with a redirect that answers its own
// request, but carries somebody's code.
func relayCode(ctx context.Context, d *device.Device, app *device.App, code string) error {
	opened, err := app.OpenSignIn(ctx)
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
	issuer := asked.Scheme + "://" + asked.Host + strings.TrimSuffix(asked.Path, "/authorize")
	link := query.Get("redirect_uri") + "?" + url.Values{"code": {code}, "state": {query.Get("state")}, "iss": {issuer}}.Encode()
	if _, err := d.HandOver(ctx, link, app.Stage()); err != nil {
		return fmt.Errorf("open the app with a link: %w", err)
	}
	return nil
}
