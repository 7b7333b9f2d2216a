package workshop

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/admin/traffic"
	"keyladder/admin/ui"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
)

// documentsToken is the one that the document shows, as it stands there. Its typesetter has
// misread a letter or two of its claims.
const documentsToken = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9." +
	"eyJpc3MiOiJteV9pc3N1ZXIiLCJzZWUiOiJteSB5ZXNvdXJjZSBvd25lciIsImF1ZCI6Im15X3Jlc291cmNlX3NlcnZlciIsImFkbWluIjp0cnVlLCJleHAiOjExODMzODYyNDAwfQ." +
	"Vznz10-57b42Y8e16wmuUY6EVUSwBjQp41sZNw8TvVI"

// tokenData is what the page shows that takes tokens apart.
type tokenData struct {
	Stages    catalog.Set // that take tokens
	Stage     string
	Token     string
	Document  bool                     // the token is the document's
	Examined  *manage.TokenExamination // nil: there is nothing to examine
	RefusedBy *manage.TokenFinding     // the first check that refuses it; nil: none does
	Forged    forgery                  // what is typed into the form for changing it
	Fault     *fault                   // in that form
	Sent      *sentToken
	Silence   string // why something can't be shown
	Now       time.Time
}

// sentToken is what came of a call with a token.
type sentToken struct {
	manage.BearerAnswer
	Verdict *traffic.Judged // nil: it was not heard of
}

// served says that the API let the call through.
func (s sentToken) served() bool { return s.Status < http.StatusBadRequest }

// tokenPage takes apart a token that stands in a message, the document's, or none yet. A token that
// is pasted comes in a form: tokens are not for addresses.
func (w *Workshop) tokenPage(c echo.Context) error {
	data := w.newTokenData(c.QueryParam("stage"))
	if message := c.QueryParam("message"); message != "" {
		id, err := strconv.ParseUint(message, 10, 64)
		n, err2 := strconv.Atoi(cmp.Or(c.QueryParam("n"), "0"))
		text, stage, ok := w.traffic.Token(id, n)
		if err != nil || err2 != nil || !ok {
			return echo.NewHTTPError(http.StatusNotFound, "There is no such token in the traffic any more: only the latest messages are kept.")
		}
		data.Token = text
		if _, takes := data.Stages.Lookup(stage); takes {
			data.Stage = stage
		}
	} else if c.QueryParams().Has("document") {
		data.Token = documentsToken
	}
	w.examine(c, &data)
	return w.showToken(c, http.StatusOK, data)
}

// takeApart does what a button of the page is for.
func (w *Workshop) takeApart(c echo.Context) error {
	form := c.Request().PostForm
	data := w.newTokenData(form.Get("stage"))
	data.Token = pastedToken(form.Get("token"))
	switch form.Get("do") {
	case "change":
		made := forgery{Header: form.Get("header"), Claims: form.Get("claims"), Signature: signatureKind(form.Get("signature")), Secret: form.Get("secret")}
		text, err := made.token(data.Token)
		if errors.As(err, &data.Fault) {
			w.examine(c, &data)
			data.Forged = made
			return w.showToken(c, http.StatusUnprocessableEntity, data)
		}
		if err != nil {
			return err
		}
		data.Token, data.Forged.Signature, data.Forged.Secret = text, made.Signature, made.Secret
	case "send":
		if err := w.sendToken(c, &data); err != nil {
			return err
		}
	}
	w.examine(c, &data)
	return w.showToken(c, http.StatusOK, data)
}

func (w *Workshop) newTokenData(stage string) tokenData {
	data := tokenData{Now: w.now(), Forged: forgery{Signature: keepSignature}}
	for _, s := range w.stages.Built() {
		if s.HasTokens() {
			data.Stages = append(data.Stages, s)
		}
	}
	if len(data.Stages) > 0 {
		data.Stage = data.Stages[0].Slug
	}
	if _, ok := data.Stages.Lookup(stage); ok {
		data.Stage = stage
	}
	return data
}

func (w *Workshop) showToken(c echo.Context, status int, data tokenData) error {
	return ui.Render(c, status, tokenView(w.gate.Page(c, "Take a token apart", "/users"), data))
}

// pastedToken is what somebody pasted, without what came along: the rest of the field that it
// stood in, and the ends of lines.
func pastedToken(text string) string {
	text = strings.TrimSpace(text)
	text = strings.TrimSpace(cutPrefixFold(text, "Authorization:"))
	text = strings.TrimSpace(cutPrefixFold(text, "Bearer "))
	return strings.NewReplacer("\r", "", "\n", "").Replace(text)
}

func cutPrefixFold(text, prefix string) string {
	if len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix) {
		return text[len(prefix):]
	}
	return text
}

// examine asks the API what each of its checks says of the token.
func (w *Workshop) examine(c echo.Context, data *tokenData) {
	if data.Token == "" || data.Stage == "" {
		return
	}
	data.Document = data.Token == documentsToken
	found, err := w.runner.Resource.Examine(c.Request().Context(), manage.TokenToExamine{Stage: data.Stage, Token: data.Token})
	if err != nil {
		data.Silence = ui.InWords(err)
		return
	}
	data.Examined = &found
	for i, f := range found.Findings {
		if !f.Passed && !f.Moot {
			data.RefusedBy = &found.Findings[i]
			break
		}
	}
	data.Forged.Header, data.Forged.Claims = indented(found.Header), indented(found.Claims)
}

// sendToken has the attacker's station call with the token, and looks up what became of it.
// The audit log says that it was done, and nothing of the token.
func (w *Workshop) sendToken(c echo.Context, data *tokenData) error {
	entry, err := w.gate.Begin(c, "call with a token made by hand", data.Stage)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	var sent sentToken
	err = w.station.Quick(ctx, http.MethodPost, "/calls", manage.BearerCall{Stage: data.Stage, Token: data.Token}, &sent.BearerAnswer)
	if err := errors.Join(err, w.gate.End(entry, err)); err != nil {
		data.Silence = ui.InWords(err)
		return nil
	}
	if verdict, ok := w.traffic.Judged(ctx, data.Stage, sent.Exchange); ok {
		sent.Verdict = &verdict
	}
	sent.Body = indentedText(sent.Body)
	data.Sent = &sent
	return nil
}

// indented is JSON as people read it; what is none is empty.
func indented(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	return indentedText(string(raw))
}

// timeWords are the times in claims, in words, in the order of their names.
func timeWords(claims json.RawMessage, now time.Time) []string {
	var values map[string]any
	if json.Unmarshal(claims, &values) != nil {
		return nil
	}
	var lines []string
	for _, claim := range []struct{ name, words string }{
		{"iat", "issued"}, {"nbf", "not good before"}, {"exp", "worth nothing from then on"}, {"auth_time", "the user signed in"},
	} {
		seconds, ok := values[claim.name].(float64)
		if !ok || seconds < 0 || seconds > 253402300799 { // the last second of the year 9999
			continue
		}
		at := time.Unix(int64(seconds), 0)
		when := ui.Whenever(now, at)
		if !at.After(now) {
			when = ui.Ago(now, at)
		}
		line := fmt.Sprintf("%s, %s: %s UTC", claim.name, claim.words, ui.Stamp(at))
		if !strings.HasPrefix(ui.Stamp(at), when) { // the date alone is no news
			line += " (" + when + ")"
		}
		lines = append(lines, line)
	}
	return lines
}
