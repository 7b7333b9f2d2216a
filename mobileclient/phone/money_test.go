package phone_test

import (
	"math"
	"strings"
	"testing"

	"keyladder/mobileclient/phone"
)

func TestAmounts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"12": 1200, "12.3": 1230, "12.34": 1234, "12,34": 1234, " 0.05 ": 5, "0": 0, "007": 700} {
		if got, err := phone.ParseAmount(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".", "12.", ".5", "1,000.00", "12.345", "-1", "+1", "1e3", "twelve", "99999999999999999999", "١"} {
		if got, err := phone.ParseAmount(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
	for minor, want := range map[int64]string{
		0: "0.00", 5: "0.05", 123450: "1,234.50", 100000000: "1,000,000.00", -1234: "\u221212.34",
		math.MaxInt64: "92,233,720,368,547,758.07", math.MinInt64: "\u221292,233,720,368,547,758.08",
	} {
		if got := phone.FormatAmount(minor); got != want {
			t.Errorf("%d: got %s, want %s", minor, got, want)
		}
	}
}

func FuzzParseAmount(f *testing.F) {
	f.Add("12.34")
	f.Add("92233720368547758.07")
	f.Fuzz(func(t *testing.T, text string) {
		amount, err := phone.ParseAmount(text)
		if err != nil {
			return
		}
		if again, err := phone.ParseAmount(strings.ReplaceAll(phone.FormatAmount(amount), ",", "")); err != nil || again != amount {
			t.Errorf("%q is %d, written and read again %d, %v", text, amount, again, err)
		}
	})
}
