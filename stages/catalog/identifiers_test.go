package catalog

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestIdentifiers: each stage and attack has some, none is made up, and each is used, or it is said why
// not.
func TestIdentifiers(t *testing.T) {
	t.Parallel()
	form := map[List]*regexp.Regexp{
		APITop10: regexp.MustCompile(`^API([1-9]|10):2023$`), MASVS: regexp.MustCompile(`^MASVS-[A-Z]+-\d$`), MASTG: regexp.MustCompile(`^MASTG-TEST-\d{4}$`),
	}
	declared := map[string]bool{}
	for _, i := range Identifiers() {
		if declared[i.ID] || i.Title == "" || strings.TrimSpace(i.Title) != i.Title || form[i.List] == nil || !form[i.List].MatchString(i.ID) {
			t.Errorf("%+v", i)
		}
		declared[i.ID] = true
	}
	used := map[string]bool{}
	check := func(of string, ids []string, found []Identifier) {
		if len(ids) == 0 || len(found) != len(ids) {
			t.Errorf("%s: %v are %+v", of, ids, found)
		}
		for _, id := range ids {
			used[id] = true
			if !declared[id] {
				t.Errorf("%s: %s is in no list", of, id)
			}
		}
	}
	for _, s := range All() {
		check(s.Slug, ofStages[s.Slug], s.Identifiers())
	}
	for _, a := range Attacks() {
		check(a.Name, ofAttacks[a.Name], a.Identifiers())
	}
	for _, i := range Identifiers() {
		if used[i.ID] == (i.Unused() != "") {
			t.Errorf("%s is used: %v, and it says %q", i.ID, used[i.ID], i.Unused())
		}
	}
	for _, slug := range slices.Collect(maps.Keys(ofStages)) {
		if _, ok := All().Lookup(slug); !ok {
			t.Errorf("there is no stage %q", slug)
		}
	}
	for name := range ofAttacks {
		if _, ok := LookupAttack(name); !ok {
			t.Errorf("there is no attack %q", name)
		}
	}
	if (Stage{Slug: "made-up"}).Identifiers() != nil {
		t.Error("a stage that is not in the catalog has some")
	}
}
