package traffic

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body     string
		size     int
		how      string
		contains string
		cut      bool
	}{
		"JSON":          {`{"a":[1,2]}`, 11, "JSON", "  \"a\": [", false},
		"broken JSON":   {`{"a":`, 5, "text", `{"a":`, false},
		"text":          {"from=1&to=2", 11, "text", "from=1", false},
		"bytes":         {"\x00\x01\xff", 3, "bytes", "00 01 ff", false},
		"terminal tips": {"\x1b[31mred", 8, "bytes", "1b 5b", false},
		"cut":           {"abc", 4000, "text", "abc", true},
		"long bytes":    {strings.Repeat("\x00", dumpBytes+1), dumpBytes + 1, "bytes", "00 00", true},
	} {
		v := viewBody([]byte(test.body), test.size)
		if v.How != test.how || v.Cut != test.cut || !strings.Contains(v.Text, test.contains) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestTokensAreFound(t *testing.T) {
	t.Parallel()
	const header, claims = "eyJhbGciOiJub25lIn0", "eyJzdWIiOiJib2IifQ"
	for name, test := range map[string]struct {
		text string
		want int
	}{
		"one":              {"Authorization: Bearer " + header + "." + claims + ".c2ln", 1},
		"without a MAC":    {header + "." + claims + ".", 1},
		"twice the same":   {header + "." + claims + ".x " + header + "." + claims + ".x", 1},
		"two":              {header + "." + claims + ".x " + header + "." + claims + ".y", 2},
		"in JSON":          {`{"access_token":"` + header + "." + claims + `.c2ln"}`, 1},
		"not base64":       {"eyJh.bGci.x", 0},
		"no JSON":          {"eyJ4eHh4eHh4.eHh4eHh4eHg.x", 0},
		"in another word":  {"x" + header + "." + claims + ".c2ln", 0},
		"too many of them": {strings.Repeat(" "+header+"."+claims+".a"+" "+header+"."+claims+".b", 50), 2},
	} {
		if got := findTokens(test.text); len(got) != test.want {
			t.Errorf("%s: %d tokens", name, len(got))
		}
	}
}

func FuzzFindTokens(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.c2ln")
	f.Add("eyJ.eyJ.eyJ.eyJ")
	f.Fuzz(func(t *testing.T, text string) {
		for _, view := range findTokens(text) {
			if !json.Valid([]byte(view.Header)) || !json.Valid([]byte(view.Claims)) {
				t.Errorf("%q is no JSON", view)
			}
		}
	})
}
