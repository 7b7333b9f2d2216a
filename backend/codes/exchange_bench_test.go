package codes_test

import (
	"sync"
	"testing"

	"gorm.io/gorm"

	"keyladder/backend/refresh"
	"keyladder/backend/tokens"
)

// BenchmarkExchange redeems codes for access token and refresh token, all in one transaction.
func BenchmarkExchange(b *testing.B) {
	e := newEndpoint(b)
	texts := make(chan string, b.N)
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for i := worker; i < b.N; i += 64 {
				texts <- issue(b, e.codes)
			}
		})
	}
	wg.Wait()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := e.redeem(b.Context(), <-texts); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkRefresh uses refresh tokens for the next one and an access token.
func BenchmarkRefresh(b *testing.B) {
	e := newEndpoint(b)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		_, text, err := e.redeem(b.Context(), issue(b, e.codes))
		for pb.Next() {
			if err != nil {
				b.Error(err)
				return
			}
			var rotated refresh.Rotated
			presented := refresh.Presented{Stage: "one", Text: text, Client: "app"}
			rotated, err = e.refresh.Rotate(b.Context(), begin, presented, func(tx *gorm.DB, f refresh.Family) error {
				_, err := e.tokens.IssueIn(tx, begin, tokens.Grant{Stage: f.Stage, User: f.User, Client: f.Client, Scope: f.Scope, Family: f.ID, Origin: f.Origin})
				return err
			})
			text = rotated.Text
		}
	})
}
