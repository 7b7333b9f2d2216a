package hawk_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func BenchmarkSign(b *testing.B) {
	c := client()
	req := httptest.NewRequest(http.MethodPost, "/hmac/v1/transfers", strings.NewReader(order))
	req.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Sign(req, []byte(order), "", noon); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	v := verifier()
	req := httptest.NewRequest(http.MethodPost, "/hmac/v1/transfers", strings.NewReader(order))
	req.Header.Set("Content-Type", "application/json")
	if _, err := client().Sign(req, []byte(order), "", noon); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(req, []byte(order), noon); err != nil {
			b.Fatal(err)
		}
	}
}
