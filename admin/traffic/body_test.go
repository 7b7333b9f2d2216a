package traffic

import (
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
