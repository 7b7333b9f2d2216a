package traffic

import (
	"encoding/json"
	"strings"
	"testing"
)

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
			if !json.Valid([]byte(view.Parts[0].Text)) || !json.Valid([]byte(view.Parts[1].Text)) {
				t.Errorf("%+v is no JSON", view)
			}
		}
	})
}
