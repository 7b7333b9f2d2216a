package mediator

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// entry is a line of a description: what it is called in JSON and in the form, and by people.
type entry struct{ Name, Label, Hint string }

// entries are those of a description, in the order of the form.
var entries = []entry{
	{"name", "Name", "small letters, digits, hyphens; it is in the redirect URI, so it stays"},
	{"title", "Title", "by which users choose it"},
	{"issuer", "Issuer", "as its answers spell it"},
	{"authorization_url", "Authorization endpoint", ""},
	{"token_url", "Token endpoint", ""},
	{"revocation_url", "Revocation endpoint", "empty: it has none, as with the next two"},
	{"userinfo_url", "Userinfo endpoint", ""},
	{"introspection_url", "Introspection endpoint", ""},
	{"client_id", "Client ID", "of the mediator there"},
	{"secret", "Client secret", ""},
	{"client_auth", "The mediator proves itself with", ""},
	{"pkce", "PKCE", "what codes are bound to"},
	{"announces_iss", "Its answers name their issuer", ""},
	{"tokens", "Access tokens are", ""},
	{"user", "Who the user is stands in", ""},
	{"user_claim", "Claim or member", "that has the user’s name"},
	{"same_names", "Its users are the bank’s customers of the same name", ""},
	{"scopes", "Its words for our scopes", "a line each: accounts:read = balance history; what is not here is the same there"},
	{"fields", "Its names for members of token answers", "a line each: expires_in = expires"},
	{"links", "Its users, and which of the bank’s customers they are", "a line each: ann@provider.example = alice"},
	{"apps", "Apps that speak to it themselves, and their secrets there", "a line each: harbour-mobile = secret; with nothing after the sign the secret stays"},
}

// labelOf is what people call a line of a description.
func labelOf(name string) string {
	i := slices.IndexFunc(entries, func(e entry) bool { return e.Name == name })
	if i < 0 {
		return name
	}
	return entries[i].Label
}

// valuesOf are what the form shows of a provider: all but its secrets.
func valuesOf(p manage.Provider) url.Values {
	values := url.Values{}
	for name, value := range map[string]string{
		"name": p.Name, "title": p.Title, "issuer": p.Issuer, "authorization_url": p.AuthorizationURL, "token_url": p.TokenURL,
		"revocation_url": p.RevocationURL, "userinfo_url": p.UserinfoURL, "introspection_url": p.IntrospectionURL,
		"client_id": p.ClientID, "client_auth": string(p.ClientAuth), "pkce": string(p.PKCE), "announces_iss": yes(p.AnnouncesIss),
		"tokens": string(p.Tokens), "user": string(p.User), "user_claim": p.UserClaim, "same_names": yes(p.SameNames),
		"scopes": lines(p.Scopes), "fields": lines(p.Fields), "links": lines(p.Links), "apps": lines(p.Apps), "version": strconv.Itoa(p.Version),
	} {
		values.Set(name, value)
	}
	return values
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// lines is a table, a line each.
func lines(table map[string]string) string {
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(table)) {
		fmt.Fprintf(&text, "%s = %s\n", key, table[key])
	}
	return text.String()
}

// form is what was typed, or what there is to change.
type form struct {
	url.Values
	Failure string
	Field   string // that the failure is about; empty: no single one
}

// fail notes what is wrong first.
func (f *form) fail(field, failure string) {
	if f.Failure == "" {
		f.Field, f.Failure = field, failure
	}
}

// shown is a form without secrets, to be shown again.
func (f form) shown() form {
	kept := url.Values{}
	for name, values := range f.Values {
		kept[name] = slices.Clone(values)
	}
	kept.Del("secret")
	var apps strings.Builder
	for line := range strings.Lines(kept.Get("apps")) {
		if client, _, ok := cut(line); ok {
			apps.WriteString(client + " = \n")
		}
	}
	kept.Set("apps", apps.String())
	f.Values = kept
	return f
}

// read is the provider that a form describes. The form says where it can't be read.
func (f *form) read() manage.Provider {
	text := func(name string) string { return strings.TrimSpace(f.Get(name)) }
	p := manage.Provider{
		Name: text("name"), Title: text("title"), Issuer: text("issuer"), AuthorizationURL: text("authorization_url"), TokenURL: text("token_url"),
		RevocationURL: text("revocation_url"), UserinfoURL: text("userinfo_url"), IntrospectionURL: text("introspection_url"),
		ClientID: text("client_id"), Secret: text("secret"), ClientAuth: manage.ProviderAuth(text("client_auth")), PKCE: catalog.PKCE(text("pkce")),
		AnnouncesIss: f.Get("announces_iss") != "", Tokens: catalog.TokenForm(text("tokens")), User: manage.UserSource(text("user")),
		UserClaim: text("user_claim"), SameNames: f.Get("same_names") != "",
	}
	p.Scopes, p.Fields, p.Links, p.Apps = f.table("scopes"), f.table("fields"), f.table("links"), f.table("apps")
	p.Version, _ = strconv.Atoi(text("version")) // 0, and so an old one, where it is no number
	return p
}

// table reads lines with a = in each.
func (f *form) table(name string) map[string]string {
	table := map[string]string{}
	for line := range strings.Lines(f.Get(name)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		key, value, ok := cut(line)
		if _, twice := table[key]; !ok || twice {
			f.fail(name, fmt.Sprintf("the line “%.60s” has no = in it, or is there twice.", strings.TrimSpace(line)))
		}
		table[key] = value
	}
	return table
}

// cut reads a line. The name in front of the = can have one itself: the first one with a space before it
// counts.
func cut(line string) (key, value string, ok bool) {
	line = strings.TrimRight(line, "\r\n")
	i, width := strings.Index(line, " ="), len(" =")
	if i < 0 {
		i, width = strings.Index(line, "="), len("=")
	}
	if i < 0 {
		return "", "", false
	}
	key, value = strings.TrimSpace(line[:i]), strings.TrimSpace(line[i+width:])
	return key, value, key != ""
}

// changes are what is another in a description than in the one before, for people.
func changes(was, is manage.Provider) []string {
	before, after := valuesOf(was), valuesOf(is)
	var words []string
	for _, e := range entries {
		from, to := before.Get(e.Name), after.Get(e.Name)
		switch {
		case from == to:
		case slices.Contains([]string{"scopes", "fields", "links", "apps"}, e.Name):
			words = append(words, strings.ToLower(e.Label[:1])+e.Label[1:]+": "+tableWords(from, to))
		default:
			words = append(words, e.Label+": "+word(to)+", was "+word(from))
		}
	}
	if was.Enabled != is.Enabled {
		words = append(words, map[bool]string{true: "offered to users", false: "offered to nobody"}[is.Enabled])
	}
	return words
}

// word is a value in a sentence.
func word(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

// tableWords are the lines of a table that are new or gone.
func tableWords(from, to string) string {
	had, has := strings.Split(strings.TrimSpace(from), "\n"), strings.Split(strings.TrimSpace(to), "\n")
	var words []string
	for _, line := range has {
		if line != "" && !slices.Contains(had, line) {
			words = append(words, "now "+strings.TrimSpace(line))
		}
	}
	for _, line := range had {
		if line != "" && !slices.Contains(has, line) {
			words = append(words, "no more "+strings.TrimSpace(line))
		}
	}
	return strings.Join(words, "; ")
}

// version is what was changed to come to a version of a provider.
type version struct {
	manage.ProviderVersion
	Words []string
}

// history is what was changed, the newest first.
func history(versions []manage.ProviderVersion) []version {
	var all []version
	for i, v := range versions {
		var words []string
		if i+1 < len(versions) {
			words = changes(versions[i+1].Provider, v.Provider)
		}
		if v.SecretChanged {
			words = append(words, "a secret was replaced")
		}
		if i+1 == len(versions) {
			words = []string{"as it was added"}
		} else if len(words) == 0 {
			words = []string{"nothing"}
		}
		all = append(all, version{v, words})
	}
	return all
}
