package device

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"keyladder/mobileclient/device/sdk"
)

// ErrUnclaimed means that no installed app claims a URL's scheme.
var ErrUnclaimed = errors.New("no app on this phone opens such links")

// Claimants are the installed apps that claim a URI scheme, the latest installed
// first. Nobody owns a scheme: any app can claim any, and the person who holds the
// phone rarely notices (RFC 8252, section 8.1).
func (d *Device) Claimants(scheme string) []Installed {
	var claimants []Installed
	for _, installed := range d.Installed() {
		if slices.Contains(installed.Schemes, strings.ToLower(scheme)) {
			claimants = append(claimants, installed)
		}
	}
	slices.SortStableFunc(claimants, func(a, b Installed) int { return b.InstalledAt.Compare(a.InstalledAt) })
	return claimants
}

// HandOver gives a URL to the app that claimed its scheme; where there are several, to
// the latest installed. It launches the app if it does not run. It returns the name of
// the app's package.
func (d *Device) HandOver(ctx context.Context, rawURL, stage string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", fmt.Errorf("hand over a URL: %w", err)
	}
	claimants := d.Claimants(u.Scheme)
	if len(claimants) == 0 {
		return "", fmt.Errorf("hand over %s: %w", u.Scheme, ErrUnclaimed)
	}
	name := claimants[0].Name
	d.mu.Lock()
	running := d.running(name)
	d.mu.Unlock()
	var app *App
	if len(running) > 0 {
		app = running[len(running)-1]
	} else if app, err = d.Launch(ctx, name, stage); err != nil {
		return "", err
	}
	if err := app.call(ctx, "App.OpenURL", rawURL, &sdk.None{}); err != nil {
		return "", fmt.Errorf("hand a URL to %s: %w", name, err)
	}
	return name, nil
}
