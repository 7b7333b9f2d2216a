package catalog

import (
	"fmt"
	"strings"
	"time"
)

// Lasting is a length of time in words, in its two largest units: 1 hour 30 minutes.
func Lasting(d time.Duration) string {
	switch {
	case d <= 0:
		return "none"
	case d < time.Second:
		return "less than a second"
	}
	var parts []string
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		n := d / unit.length
		d -= n * unit.length
		if n == 0 && len(parts) > 0 {
			break
		}
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit.name)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit.name))
		}
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " ")
}
