package protect

import (
	"bytes"
	"io"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"keyladder/stages/catalog"
)

// choose makes it a client of the provider of the identity. The habits of that one are written
// here, into the app: for one more provider, or another habit of this one, there has to be another
// release.
//
// Each provider has a redirect URI of its own, so that a response of one is never taken for the
// other's: this one does not say in its responses whose they are (RFC 9700, section 4.4).
//
//keyladder:code app-provider
func (o *OAuth) choose(c *Caller) error {
	if c.policy.Providers != catalog.ChosenInApp || c.identity.Provider != catalog.Lite {
		return nil
	}
	issuer, err := c.server("other company's authorization server", c.api.Lite)
	if err != nil {
		return err
	}
	o.provider, o.issuer, o.unnamed, o.lifetime = catalog.Lite, issuer, true, "expires"
	o.config.Endpoint.AuthURL = issuer + authorizePath
	o.config.RedirectURL += "/" + catalog.Lite
	return nil
}

// Provider is the one that was chosen; empty: the bank's.
func (o *OAuth) Provider() string { return o.provider }

// life is how long the tokens of an answer are good, in seconds, in the provider's words.
func (o *OAuth) life(given *oauth2.Token) int64 {
	if o.lifetime == "" {
		return given.ExpiresIn
	}
	seconds, _ := given.Extra(o.lifetime).(float64)
	return int64(seconds)
}

// withProvider says in the form of a request at which provider it is meant to be made.
func withProvider(request *http.Request, name string) error {
	body, err := io.ReadAll(request.Body)
	request.Body.Close()
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return err
	}
	form.Set(ProviderParameter, name)
	body = []byte(form.Encode())
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	request.Body, _ = request.GetBody() // never fails
	request.ContentLength = int64(len(body))
	return nil
}
