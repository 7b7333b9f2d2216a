package person

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"keyladder/mobileclient/device"
	"keyladder/stages/protect"
)

// maxPage is how much of a page is read, in bytes.
const maxPage = 4 << 20

// ErrRefused means that the pages lead nowhere: the last one says why.
type ErrRefused struct{ Page *device.Page }

// Error is what the page says.
func (e *ErrRefused) Error() string { return "the page says: " + e.Page.Text }

// Authorize has the person go through an authorization server's pages, from a client's request
// on, in a browser of their own that is on no phone. It returns where the last page leads, which
// is the redirect URI with what was added to it. Its error is [*ErrRefused] where the server does
// not lead there.
func (p Person) Authorize(ctx context.Context, transport http.RoundTripper, authorizationURL, redirectURI string) (link string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	browser := &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	method, at, fields, typed := http.MethodGet, authorizationURL, url.Values(nil), false
	for range 2 * maxPages {
		page, location, err := visit(ctx, browser, method, at, fields)
		switch {
		case err != nil:
			return "", fmt.Errorf("sign in on a page: %w", err)
		case strings.HasPrefix(location, redirectURI):
			return location, nil
		case location != "":
			method, at, fields = http.MethodGet, location, nil
			continue
		}
		form, values, asks := p.fill(page)
		if form == nil || asks && typed {
			return "", &ErrRefused{page}
		}
		typed = typed || asks
		if fields, err = form.Filled(values, pressed(form)); err != nil {
			return "", err
		}
		method, at = form.Method, form.Action
	}
	return "", fmt.Errorf("sign in at %s: %w", at, ErrLost)
}

// SignInTo has the person sign in to a client of an authorization server, which sends them back
// under the redirect URI, and the client take what comes of it: a token, or a code that it
// exchanges over the same connections. The options change the client's request.
func (p Person) SignInTo(ctx context.Context, server *protect.OAuth, client *http.Client, redirectURI string, options ...oauth2.AuthCodeOption) (protect.SignedIn, error) {
	asked, err := server.Ask(ctx, client, options...)
	if err != nil {
		return protect.SignedIn{}, err
	}
	link, err := p.Authorize(ctx, client.Transport, asked.URL, redirectURI)
	if err != nil {
		return protect.SignedIn{}, err
	}
	response, err := server.ReadResponse(link, asked)
	if err != nil || response.Code == "" {
		return response.SignedIn, err
	}
	return server.Exchange(ctx, client, response)
}

// visit loads a page, or finds out where else it leads.
func visit(ctx context.Context, browser *http.Client, method, at string, fields url.Values) (page *device.Page, location string, err error) {
	target, err := url.Parse(at)
	if err != nil {
		return nil, "", err
	}
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(fields.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return nil, "", err
	}
	request.Header.Set("Accept", "text/html")
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", target.Scheme+"://"+target.Host)
	}
	response, err := browser.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	if to := response.Header.Get("Location"); to != "" && response.StatusCode >= 300 && response.StatusCode < 400 {
		next, err := target.Parse(to)
		if err != nil {
			return nil, "", err
		}
		return nil, next.String(), nil
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPage))
	if err != nil {
		return nil, "", err
	}
	return device.ReadPage(response.StatusCode, response.Header.Get("Content-Type"), text, target), "", nil
}
