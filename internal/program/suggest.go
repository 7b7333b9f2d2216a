package program

import (
	"fmt"
	"strings"
)

// DidYouMean is a hint at the name that was probably meant; empty: none is near.
func DidYouMean(typed string, names []string) string {
	best, nearest := "", 1+max(2, len(typed)/4)
	for _, name := range names {
		d := distance(strings.ToLower(typed), name)
		if strings.HasPrefix(name, strings.ToLower(typed)) && typed != "" {
			d = min(d, 1)
		}
		if d < nearest {
			best, nearest = name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance is how many letters have to be added, removed or replaced (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
