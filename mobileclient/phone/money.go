package phone

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ErrAmount means that a text is not an amount of money.
var ErrAmount = errors.New("not an amount: write it like 12.34")

// ParseAmount reads an amount of money as people write it, such as 12, 12.3, 12.34 or
// 12,34, into minor units. There are no thousands separators, because 1,000 can mean two
// things.
func ParseAmount(text string) (int64, error) {
	whole, cents, decimal := strings.Cut(strings.ReplaceAll(strings.TrimSpace(text), ",", "."), ".")
	if decimal && (cents == "" || len(cents) > 2) || !digits(whole) || !digits(cents+"0") {
		return 0, fmt.Errorf("%q: %w", text, ErrAmount)
	}
	major, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || major > math.MaxInt64/100-1 {
		return 0, fmt.Errorf("%q: %w", text, ErrAmount)
	}
	minor, err := strconv.ParseInt((cents + "00")[:2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", text, ErrAmount)
	}
	return major*100 + minor, nil
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// FormatAmount writes minor units as people do: 1,234.50.
func FormatAmount(minor int64) string {
	sign, rest := "", uint64(minor)
	if minor < 0 {
		sign, rest = "\u2212", -rest // also right for the smallest number
	}
	whole := strconv.FormatUint(rest/100, 10)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return fmt.Sprintf("%s%s.%02d", sign, whole, rest%100)
}
