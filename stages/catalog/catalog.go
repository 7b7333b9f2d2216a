package catalog

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

// Stage is one rung of the ladder.
type Stage struct {
	Number   int    `json:"number"` // 1 to 18
	Slug     string `json:"slug"`
	Chapter  int    `json:"chapter"` // 1 to 4
	Title    string `json:"title"`
	Adds     string `json:"adds"`  // what it adds to the stage before, a sentence or two
	Built    bool   `json:"built"` // false: declared, but every route answers 501
	Policies        // open, but for the release, while the stage is not built

	// Outcomes and Text are for stages that the tables of this package do not have. What
	// is not in Outcomes does not apply; nil: as the tables say.
	Outcomes map[string]Expectation `json:"-"` // by the attack's name
	Text     string                 `json:"-"` // the narrative, where there is no file

	declared *Policies // before [Set.With]; nil: they are as they were
	unheeded Check     // see [Set.WithoutCheck]
}

// Declared are the stage's policies as the ladder has them, whatever [Set.With] has made of
// them: what the stage must refuse goes by these.
func (s Stage) Declared() Policies {
	if s.declared == nil {
		return s.Policies
	}
	return *s.declared
}

// Heeds says whether refusals by a check count at the stage. They do, but for
// [Set.WithoutCheck].
func (s Stage) Heeds(check Check) bool { return s.unheeded != check || check == "" }

//go:embed narratives/*.md
var narratives embed.FS

// Narrative is the stage's text, in Markdown, with the code that it points at; empty
// where the stage is not built. Headings may carry an ID as in "## Title {#id}".
func (s Stage) Narrative() string {
	return withCode(s.text())
}

func (s Stage) text() string {
	text, err := narratives.ReadFile("narratives/" + s.Slug + ".md")
	if err != nil {
		return s.Text
	}
	return string(text)
}

// NoRung is the text, in Markdown, about what is not on the ladder and why. Its links are to
// pages of the admin UI.
func NoRung() string {
	text, err := narratives.ReadFile("narratives/no-rung.md")
	if err != nil {
		panic(err) // it is embedded
	}
	return string(text)
}

// Chapters are the titles of the chapters; chapter n has index n-1.
func Chapters() []string {
	return []string{"Keys", "Tokens", "Attacks and mediators", "Past the document"}
}

// Set is the stages that a deployment serves, in order. Servers get theirs
// passed in, so that a test can change a policy and see an attack come through.
type Set []Stage

// All is the catalog as it is.
func All() Set { return slices.Clone(stages) }

// Lookup finds a stage by its slug.
func (s Set) Lookup(slug string) (Stage, bool) {
	i := slices.IndexFunc(s, func(stage Stage) bool { return stage.Slug == slug })
	if i < 0 {
		return Stage{}, false
	}
	return s[i], true
}

// Before is the stage that the given one builds on; false for the first.
func (s Set) Before(stage Stage) (Stage, bool) {
	i := slices.IndexFunc(s, func(other Stage) bool { return other.Number == stage.Number-1 })
	if i < 0 {
		return Stage{}, false
	}
	return s[i], true
}

// Built are the stages that can be used.
func (s Set) Built() Set {
	return slices.DeleteFunc(slices.Clone(s), func(stage Stage) bool { return !stage.Built })
}

// With is the set with one stage's policies changed. It panics when there is no such
// stage, as that is a programming error.
func (s Set) With(slug string, change func(*Policies)) Set {
	changed := slices.Clone(s)
	for i := range changed {
		if changed[i].Slug == slug {
			declared := changed[i].Declared()
			changed[i].declared = &declared
			change(&changed[i].Policies)
			return changed
		}
	}
	panic(fmt.Sprintf("catalog: no stage %q", slug))
}

// Unbuilt is the set with a stage of that slug declared only, as stages are until all of it is there.
func (s Set) Unbuilt(slug string) Set {
	changed := slices.Clone(s)
	for i := range changed {
		changed[i].Built = changed[i].Built && changed[i].Slug != slug
	}
	return changed
}

// WithoutCheck is the set with one stage at which refusals by a check of the guard, or of an
// endpoint of OAuth, are not heeded: the call goes on, or, where nothing is left to go on with, it
// fails and is on record as one that nothing refused. A policy can't say that of every check, and where it can, the app reads it, too.
// It is how tests switch off one check of the server and nothing else, to see that it is
// missed. It panics when there is no such stage.
func (s Set) WithoutCheck(slug string, check Check) Set {
	changed := s.With(slug, func(*Policies) {})
	for i := range changed {
		if changed[i].Slug == slug {
			changed[i].unheeded = check
		}
	}
	return changed
}

// Slugs are the stages' names for people who mistyped one.
func (s Set) Slugs() string {
	slugs := make([]string, len(s))
	for i, stage := range s {
		slugs[i] = stage.Slug
	}
	return strings.Join(slugs, ", ")
}
