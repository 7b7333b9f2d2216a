package web

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

// fieldWords and valueWords say a policy in human words. What is not listed is shown by
// its own name; a test asks for every field and value that a built stage uses.
var fieldWords = map[string]string{
	"transport":     "Connection",
	"user_agents":   "User-Agent field",
	"rate_limits":   "Rate limits",
	"app_proof":     "Proof of the app",
	"key_in_url":    "Key in the URL",
	"nonces":        "Nonces of signed calls",
	"bodies":        "Bodies",
	"secrets":       "Secrets in the app's package",
	"pins":          "Server's public key",
	"devices":       "Installations",
	"user_proof":    "Proof of the user",
	"binding":       "Binding of app, user and request",
	"authorization": "Rights",
	"partners":      "Partners' servers",
}

var valueWords = map[string]map[string]string{
	"transport": {
		"http":       "plain HTTP, readable by whoever carries it",
		"tls":        "TLS, the server shows a certificate",
		"mutual-tls": "mutual TLS, the app shows a certificate too",
	},
	"user_agents": {
		"registered-apps": "only those of registered apps",
		"any":             "any",
	},
	"rate_limits": {
		"limited":   "per address and per app",
		"unlimited": "none",
	},
	"app_proof": {
		"app-key": "its ID, sent as a key with each call",
		"hawk":    "a Hawk code over each call, made with a secret that never travels",
		"none":    "none",
	},
	"key_in_url": {
		"accepted": "accepted",
		"refused":  "refused",
	},
	"nonces": {
		"none":       "none: calls are not signed",
		"forgotten":  "not remembered, so a call can be repeated for as long as its timestamp is good",
		"remembered": "remembered: each is good once",
	},
	"bodies": {
		"plain":  "readable wherever TLS ends",
		"sealed": "encrypted inside TLS too, under a key made from the app's secret",
	},
	"secrets": {
		"clear":  "in the clear, under names like SHARED_SECRET",
		"hidden": "encoded, cut up and scattered; put together in memory only",
	},
	"pins": {
		"not-pinned": "any that the device's trust store vouches for",
		"pinned":     "only those that the app was shipped with",
	},
	"devices": {
		"none":       "not told apart",
		"registered": "registered one by one, so that one of them can be banned",
	},
	"user_proof": {
		"none":    "none: the API knows apps only",
		"session": "a session key, got for the password at sign-in and different each time",
	},
	"binding": {
		"none":              "none",
		"session-of-app":    "a session is good in the app that it was opened with, and in no other",
		"session-of-device": "a session is good in the app and on the device that it was opened with, and on no other",
		"session-of-call":   "a session is good in the app and on the device that it was opened with; each call is signed with its user and device, and good with no others",
	},
	"authorization": {
		"app-scopes":   "what the app may do",
		"app-and-user": "what both the app and the user may do, with the user's own accounts",
		"none":         "everything",
	},
	"partners": {
		"none":               "not served",
		"client-certificate": "known by their client certificates alone",
	},
}

// change is a difference between two stages in words.
type change struct {
	Field, From, To string
}

func changes(from, to catalog.Policy) []change {
	var list []change
	for _, d := range from.Diff(to) {
		list = append(list, change{
			Field: fieldInWords(d.Field), From: valueInWords(d.Field, d.From), To: valueInWords(d.Field, d.To),
		})
	}
	return list
}

func fieldInWords(field string) string {
	if words, ok := fieldWords[field]; ok {
		return words
	}
	return strings.ReplaceAll(field, "_", " ")
}

func valueInWords(field, value string) string {
	if words, ok := valueWords[field][value]; ok {
		return words
	}
	if value == "" {
		return "nothing"
	}
	return strings.ReplaceAll(value, "-", " ")
}

// outcomeWords is what happened to an attack.
func outcomeWords(o catalog.Outcome) string {
	switch o {
	case catalog.Succeeds:
		return "gets through"
	case catalog.Blocked:
		return "blocked"
	case catalog.NotApplicable:
		return "does not apply"
	case catalog.NotBuilt:
		return "not built"
	case catalog.Inconclusive:
		return "undecided"
	}
	return string(o)
}

func laneWords(l traffic.Lane) string {
	switch l {
	case traffic.App:
		return "What the app sees"
	case traffic.Network:
		return "What the network sees"
	case traffic.Server:
		return "What the server sees"
	}
	return string(l)
}

// ago is a time as people say it.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return t.UTC().Format("2006-01-02")
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

const stampLayout = "2006-01-02 15:04:05"

func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

func iso(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func seconds(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) }

func bytesWords(n int64) string {
	switch {
	case n < 1<<10:
		return plural(int(n), "byte", "bytes")
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// sentence begins with a capital and ends with a full stop, which not every program's reasons do.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	if !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return text
}

// cut shortens a text to n bytes at most, at the end of a character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}
