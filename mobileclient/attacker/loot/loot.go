package loot

import (
	"bytes"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"keyladder/stages/protect"
)

// maxTries bounds how many combinations of what was found are tried. A package alone holds
// some 13 texts that look like a secret and are none.
const maxTries = 24

// Loot is what searches of bytes brought up. The zero value is empty.
type Loot struct {
	Names []string // telling names that stood there

	ClientIDs     ClientIDs
	UserAgents    UserAgents
	Secrets       Secrets
	Certificates  Certificates
	Installations Installations
	Sessions      Sessions
	Tokens        Tokens
	Refreshing    Refreshing
	Integrity     Integrity
	Attestations  Attestations
	Proofs        Proofs
}

// Finder finds what one mechanism identifies a caller by.
type Finder interface {
	// search looks through a piece of bytes.
	search(data []byte)
	// complete puts what was found into an identity: one for each thing that was found.
	complete(as protect.Identity) []protect.Identity
	// describe says what was found and gives nothing away.
	describe() []string
}

// OfApp are the finders of what is the same in every copy of the app.
func (l *Loot) OfApp() []Finder {
	return []Finder{&l.UserAgents, &l.ClientIDs, &l.Secrets, &l.Certificates}
}

// OfUser are the finders of what one installation and its user have.
func (l *Loot) OfUser() []Finder {
	return []Finder{&l.Sessions, &l.Tokens, &l.Refreshing, &l.Integrity, &l.Attestations, &l.Proofs, &l.Installations}
}

// telling are names that developers give to secrets.
var telling = []string{"CLIENT_ID", "SHARED_SECRET", "CLIENT_SECRET", "TLS_CLIENT_KEY"}

// Search looks through a piece of bytes.
func (l *Loot) Search(data []byte) {
	for _, name := range telling {
		if bytes.Contains(data, []byte(name)) {
			l.Names = addNew(l.Names, name)
		}
	}
	for _, finder := range slices.Concat(l.OfApp(), l.OfUser()) {
		finder.search(data)
	}
}

// Identities are the combinations of what was found with which calls can be made that prove
// the app as the caller's stage wants it, a few of them at most. What they lack besides is
// left to the API to ask for.
func Identities(by *protect.Caller, finders ...Finder) []protect.Identity {
	tries := []protect.Identity{by.Identity()}
	for _, finder := range finders {
		var more []protect.Identity
		for _, as := range tries {
			more = append(more, finder.complete(as)...)
		}
		if len(more) > 0 {
			tries = more[:min(len(more), maxTries)]
		}
	}
	return slices.DeleteFunc(tries, func(as protect.Identity) bool {
		caller, err := by.As(func(own *protect.Identity) { *own = as })
		if err != nil {
			return true // what looked like an ID or a secret can't be one
		}
		lacks := caller.Lacks()
		return slices.Contains(lacks, protect.ClientID) || slices.Contains(lacks, protect.Secret)
	})
}

// String says what was found and gives no secret away.
func (l *Loot) String() string {
	const maxShown = 3 // of one kind
	var parts []string
	for _, finder := range slices.Concat(l.OfApp(), l.OfUser()) {
		found := finder.describe()
		if len(found) > maxShown {
			found = append(found[:maxShown:maxShown], "more of the same")
		}
		parts = append(parts, found...)
	}
	if len(parts) == 0 {
		return "nothing of use"
	}
	return strings.Join(parts, ", ")
}

func counted(n int, one, many string) []string {
	switch n {
	case 0:
		return nil
	case 1:
		return []string{one}
	}
	return []string{fmt.Sprintf("%d %s", n, many)}
}

// occurrences are the places of a text in the data.
func occurrences(data, text []byte) iter.Seq[int] {
	return func(yield func(int) bool) {
		for at := 0; ; at += len(text) {
			next := bytes.Index(data[at:], text)
			if next < 0 || !yield(at+next) {
				return
			}
			at += next
		}
	}
}

// submatches finds what the pattern's last group, or all of it, stands for. A regular
// expression over a hundred megabytes is slow, so the anchor, a text in it, is looked
// for first.
func submatches(data []byte, anchor string, pattern *regexp.Regexp) []string {
	return submatchesWithin(data, anchor, pattern, 256)
}

// submatchesWithin is the same for what is longer, with the most that follows an anchor.
func submatchesWithin(data []byte, anchor string, pattern *regexp.Regexp, after int) []string {
	var found []string
	const before = 1 // "A" of Authorization
	for at := range occurrences(data, []byte(anchor)) {
		start := max(0, at-before)
		window := data[start:min(len(data), at+after)]
		match := pattern.FindSubmatchIndex(window)
		if match == nil || start+match[0] > at {
			continue // none, or that of a later anchor, which may be cut off
		}
		found = append(found, string(window[match[len(match)-2]:match[len(match)-1]]))
	}
	return found
}

func addNew[T comparable](list []T, item T) []T {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

// addFirst is the same where what was seen last is the best.
func addFirst[L ~[]T, T comparable](list L, item T) L {
	if slices.Contains(list, item) {
		return list
	}
	return slices.Insert(list, 0, item)
}
