package access

import (
	"net/url"
	"testing"
)

func TestNextIsAPathOfThisSite(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/matrix":              "/matrix",
		"/traffic?stage=tls":   "/traffic?stage=tls",
		"":                     "/stages",
		"stages":               "/stages",
		"//evil.example":       "/stages",
		"/\\evil.example":      "/stages",
		"https://evil.example": "/stages",
		"javascript:alert(1)":  "/stages",
		"/\t/evil.example":     "/stages",
	} {
		if got := OwnPath(next); got != want {
			t.Errorf("OwnPath(%q) = %q, want %q", next, got, want)
		}
	}
}

func FuzzOwnPath(f *testing.F) {
	f.Add("/stages")
	f.Add("//evil.example/")
	f.Add("/\\evil")
	f.Fuzz(func(t *testing.T, next string) {
		base, _ := url.Parse("http://localhost:8000/sign-in")
		target, err := base.Parse(OwnPath(next))
		if err != nil {
			t.Fatalf("%q leads nowhere: %v", next, err)
		}
		if target.Host != base.Host || target.Scheme != "http" {
			t.Errorf("%q leads to %s", next, target)
		}
	})
}
