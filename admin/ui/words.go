package ui

import (
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyladder/stages/catalog"
)

// OutcomeWords is what happened to an attack.
func OutcomeWords(o catalog.Outcome) string {
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

// Ago is a time as people say it.
func Ago(now, t time.Time) string {
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

// Clock is a time of day, to the millisecond, UTC.
func Clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// StampLayout is a date with a time of day.
const StampLayout = "2006-01-02 15:04:05"

// Stamp is a date with a time of day, UTC.
func Stamp(t time.Time) string { return t.UTC().Format(StampLayout) }

// ISO is a time for programs (RFC 3339).
func ISO(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Seconds is a time in milliseconds as people say it.
func Seconds(ms int64) string { return fmt.Sprintf("%.1f s", float64(ms)/1000) }

// Bytes is a size.
func Bytes(n int64) string {
	switch {
	case n < 1<<10:
		return Plural(int(n), "byte", "bytes")
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// Thousands is a number in groups of three digits.
func Thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// wholeWords is code as HTML that wraps between words alone: browsers also do it after a hyphen.
func wholeWords(code string) string {
	words := strings.Split(html.EscapeString(code), " ")
	for i, word := range words {
		if strings.Contains(word, "-") {
			words[i] = `<span class="whole">` + word + `</span>`
		}
	}
	return strings.Join(words, " ")
}

// Plural is a number of things.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Sentence begins with a capital and ends with a full stop, which not every program's reasons do.
func Sentence(text string) string {
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

// Cut shortens a text to n bytes at most, at the end of a character.
func Cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	n -= len("…")
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "…"
}

// Whenever is a time in the future, as people say it.
func Whenever(now, t time.Time) string {
	d := t.Sub(now)
	switch {
	case d <= 0:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("in %d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("in %d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return fmt.Sprintf("in %d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return t.UTC().Format("2006-01-02")
}

// Since is how long something took.
func Since(from, to time.Time) string { return to.Sub(from).Round(100 * time.Millisecond).String() }

// N is a number for an attribute.
func N(i int) string { return strconv.Itoa(i) }

// ID is a record's number.
func ID(i uint64) string { return strconv.FormatUint(i, 10) }
