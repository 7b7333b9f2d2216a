package traffic

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	"keyladder/stages/catalog"
)

// authorizations are what passes between an app and the authorization server by way of the user
// agent: what the app asks for, and what it is led back with (RFC 6749, sections 4.1 and 4.2).
var authorizations = decoder{
	Checks: []catalog.Check{catalog.CheckForm, catalog.CheckClient, catalog.CheckRedirect, catalog.CheckGrant, catalog.CheckWanted, catalog.CheckPKCE, catalog.CheckConsent},
	Decode: func(seen text) []section {
		var found []section
		for _, line := range authorizationRequest.FindAllStringSubmatch(seen.Head, maxSections) {
			found = append(found, parameters("An authorization request", line[1], requestWords)...)
		}
		for _, line := range redirectField.FindAllStringSubmatch(seen.Head, maxSections) {
			found = append(found, parameters("An authorization response, in "+places[line[1]], line[2], responseWords)...)
		}
		return found
	},
}

// tokenAnswers are what token endpoints answer (RFC 6749, sections 5.1 and 5.2).
var tokenAnswers = decoder{
	Decode: func(seen text) []section {
		var members map[string]json.RawMessage
		if json.Unmarshal([]byte(seen.Body), &members) != nil {
			return nil
		}
		title := ""
		switch {
		case members["access_token"] != nil && members["token_type"] != nil:
			title = "An access token is issued"
		case members["error"] != nil && members["error_description"] != nil:
			title = "No token is issued"
		default:
			return nil
		}
		var attributes []attribute
		for _, p := range answerWords {
			if value, there := members[p.name]; there {
				attributes = append(attributes, attribute{p.name, strings.Trim(string(value), `"`), p.words})
			}
		}
		return []section{{Kind: "credential", Scheme: "answer", Title: title, Parts: []part{{Attributes: attributes}}}}
	},
}

var (
	// GET /code-grant/authorize?… HTTP/1.1
	authorizationRequest = regexp.MustCompile(`(?m)^GET /[^\s?]*/authorize\?(\S+)(?: HTTP/[\d.]+)?[ \t]*\r?$`)
	// A redirect with an answer. Where it leads to is before the query or the fragment.
	redirectField = regexp.MustCompile(`(?im)^location:[ \t]*[^\s?#]+([?#])(\S+)[ \t]*\r?$`)
)

// places are where in a URL an answer stands.
var places = map[string]string{
	"?": "the query, which the next server sees as well",
	"#": "the fragment, which browsers send to no server",
}

var requestWords = []parameter{
	{"response_type", "what the app wants to be led back with: a code, or the access token itself", false},
	{"client_id", "which app asks; nothing proves it", false},
	{"redirect_uri", "where the user agent is to be led to", false},
	{"scope", "what the token is to be good for", false},
	{"state", "known to the app alone, by which it knows the answer to its own request", false},
	{"code_challenge", "what the code will be bound to: the verifier itself, or its hash", false},
	{"code_challenge_method", "how the challenge was made. Where it is missing, it is plain", false},
}

var responseWords = []parameter{
	{"code", "to be traded for a token, once, by the client that it was issued to", false},
	{"access_token", "good for whoever has it", false},
	{"token_type", "how it is shown with calls", false},
	{"expires_in", "for how many seconds it is good", false},
	{"scope", "what it is good for", false},
	{"error", "nothing is given, and why", false},
	{"error_description", "the same in words, for developers", false},
	{"state", "exactly as it was in the request", false},
	{"iss", "who answers", false},
}

var answerWords = []parameter{
	{"access_token", "good for whoever has it, as far as nothing else is asked for", false},
	{"token_type", "how it is shown with calls", false},
	{"expires_in", "for how many seconds it is good", false},
	{"scope", "what it is good for", false},
	{"refresh_token", "brings the next access token, once, and its own successor", false},
	{"error", "why there is none", false},
	{"error_description", "the same in words, for developers", false},
}

// parameters lays out those of a query that are known; none: it is another query.
func parameters(title, query string, known []parameter) []section {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil
	}
	attributes := attributesOf(values, known)
	if len(attributes) < 2 { // one name alone says nothing about what it belongs to
		return nil
	}
	return []section{{Kind: "credential", Scheme: "redirect", Title: title, Parts: []part{{Attributes: attributes}}}}
}
