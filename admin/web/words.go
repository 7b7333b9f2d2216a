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

// change is a difference between two stages in words.
type change struct {
	Field, From, To string
}

func changes(from, to catalog.Policies) []change {
	var list []change
	for _, d := range from.Diff(to) {
		before := d.From.Words
		if !d.From.Decided {
			before = "nothing"
		}
		list = append(list, change{Field: d.To.Title, From: before, To: d.To.Words})
	}
	return list
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
