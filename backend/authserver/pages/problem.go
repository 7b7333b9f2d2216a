package pages

import "net/http"

// Problem is a page for what can't be answered with a redirect, and the user has to read.
type Problem struct {
	Site
	Title     string
	Detail    string // what happened
	WhatToDo  string
	Code      string // of RFC 6749, section 4.1.2.1, or one of this server's; empty: none
	Reference string // under which the log has it; empty: none
	Status    int    // HTTP, with which the page has to be sent
}

// UnknownClient is for a client_id that nobody has registered.
func UnknownClient(site Site, id string) Problem {
	return Problem{
		Site: site, Status: http.StatusBadRequest, Code: "invalid_request", Title: "The bank does not know this app",
		Detail:   "An app that calls itself " + id + " has sent you here. No such app is registered with the bank, so it gets no access.",
		WhatToDo: "Close this page. If you trust the app, ask its makers.",
	}
}

// RedirectMismatch is for a redirect_uri that is not registered for the client. Nobody is sent
// there (RFC 6749, section 4.1.2.1).
func RedirectMismatch(site Site, client Client) Problem {
	detail := "This request does not say where its answer should go. So the bank sends you nowhere, and gives no access."
	if client.RedirectURI != "" {
		detail = "The answer to this request would go to " + destination(client.RedirectURI) + ". " +
			client.Name + " has not registered that address with the bank. So the bank sends you nowhere, and gives no access."
	}
	return Problem{
		Site: site, Status: http.StatusBadRequest, Code: "invalid_request", Title: "This request may be from somebody else",
		Detail:   detail,
		WhatToDo: "Close this page, and begin again in the app. If you see this page again, the app may not be genuine.",
	}
}

// Outdated is for a form whose sign-in is over: it was open for too long, or it was sent before.
func Outdated(site Site) Problem {
	return Problem{
		Site: site, Status: http.StatusBadRequest, Title: "This page was open for too long",
		Detail:   "The bank no longer knows which app this sign-in was for, or the page was sent before.",
		WhatToDo: "Go back to the app and sign in again from there.",
	}
}

// Done is a page for what is over.
type Done struct {
	Site
	Title string // empty: done
	Text  string // what was done; empty: nothing is said about it
}
