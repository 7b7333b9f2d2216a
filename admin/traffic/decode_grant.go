package traffic

import (
	"net/url"
	"regexp"
	"strings"

	"keyladder/stages/catalog"
)

// grantForms are what apps send to token endpoints (RFC 6749, section 4.3.2, and RFC 7009).
var grantForms = decoder{
	Checks: []catalog.Check{catalog.CheckForm, catalog.CheckClient, catalog.CheckGrant, catalog.CheckSignIn, catalog.CheckWanted, catalog.CheckCode, catalog.CheckPKCE, catalog.CheckRefresh, catalog.CheckConsent},
	Decode: func(seen text) []section {
		body := strings.TrimSpace(seen.Body)
		if !strings.Contains(strings.ToLower(seen.Head), "application/x-www-form-urlencoded") || strings.ContainsAny(body, " \r\n{") {
			return nil
		}
		form, err := url.ParseQuery(body)
		if err != nil {
			return nil
		}
		title := ""
		switch {
		case form.Has("grant_type"):
			title = "A request for an access token"
		case form.Has("token"):
			title = "A token is given back"
		case form.Has("interaction"):
			title = "A page of the authorization server is sent"
		default:
			return nil
		}
		return []section{{Kind: "credential", Scheme: "form", Title: title, Parts: []part{{Attributes: attributesOf(form, formWords)}}}}
	},
}

// attributesOf are the values of the parameters that are known, in their order.
func attributesOf(values url.Values, known []parameter) (attributes []attribute) {
	for _, p := range known {
		for _, value := range values[p.name] {
			if p.secret {
				value = mask
			}
			if len(attributes) < maxAttributes {
				attributes = append(attributes, attribute{p.name, value, p.words})
			}
		}
	}
	return attributes
}

// parameter is one of a form.
type parameter struct {
	name, words string
	secret      bool
}

// formWords say what the parameters are, in the order in which they are shown.
var formWords = []parameter{
	{"grant_type", "what the app has that is traded for a token", false},
	{"client_id", "which app asks; alone it proves nothing", false},
	{"client_secret", "the app's. It is masked here only: who reads the request has it", true},
	{"username", "whose rights the app asks for", false},
	{"password", "what its user has typed. It is masked here only: who reads the request has it", true},
	{"decision", "what the user says to what the app asks for", false},
	{"interaction", "which sign-in in this browser the page belongs to", false},
	{"code", "what the app was led back with. It is good once", false},
	{"redirect_uri", "where the app was led back to, as it was asked for", false},
	{"code_verifier", "shows that it was this app that has asked for the code. It is good with that code alone", false},
	{"refresh_token", "good once: the answer brings the next", false},
	{"scope", "what the token is to be good for", false},
	{"token", "from now on it is not to be good any more", false},
	{"token_type_hint", "of which kind it is", false},
}

// formSecrets are values of parameters that are not shown, wherever a form is in a text.
var formSecrets = regexp.MustCompile(`(?m)(^|[&?"'])(` + strings.Join(secretParameters(), "|") + `)=[^&\s"']*`)

func secretParameters() (names []string) {
	for _, p := range formWords {
		if p.secret {
			names = append(names, p.name)
		}
	}
	return names
}
