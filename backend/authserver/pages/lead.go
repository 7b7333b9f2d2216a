package pages

import "net/http"

// Lead is a page that leads on at once, in place of a redirect. Browsers hold redirects that follow a
// form against the form-action of the page that the form was on, which can't name where others lead.
// A page ends that: what it leads to is another navigation.
type Lead struct {
	Site
	To    string // a URL, which may be of an app's scheme; nobody but the server decides on it
	Title string
	Text  string
	Link  string // for who has to do it by hand
}

// Wanted says whether a user agent is a browser that holds redirects against a policy. It says that it
// navigates (Sec-Fetch-Mode of Fetch Metadata). All others are served as well by a redirect.
func (Lead) Wanted(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Mode") == "navigate" }

// SetHeader adds the field that has the page lead on.
func (l Lead) SetHeader(h http.Header) { h.Set("Refresh", "0; url="+l.To) }
