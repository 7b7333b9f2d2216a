package authserver_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
)

// TestThousandAtOnce redeem one code, and use one refresh token: one succeeds, nobody gets 500,
// and since there was a second use, nothing that came of it is good.
func TestThousandAtOnce(t *testing.T) {
	t.Parallel()
	const many = 1000
	w := start(t)
	p := w.program(t, web)
	untouched := p.tokens(refresh, "alice")
	for what, form := range map[string]url.Values{
		"code":          redemption(w.code(t, refresh, "alice", web), webURI),
		"refresh token": {"grant_type": {"refresh_token"}, "refresh_token": {p.tokens(refresh, "alice").Refresh}},
	} {
		var mu sync.Mutex
		var wg sync.WaitGroup
		var got []said
		statuses := map[int]int{}
		room := make(chan bool, 100) // connections at once
		for range many {
			r := p.request(refresh, "token", form)
			wg.Go(func() {
				room <- true
				defer func() { <-room }()
				answer, err := p.try(r)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				if statuses[answer.Status]++; answer.Status == http.StatusOK {
					got = append(got, answer)
				} else if answer.Error != "invalid_grant" {
					t.Errorf("%s: %d %s", what, answer.Status, answer.Body)
				}
			})
		}
		wg.Wait()
		if statuses[http.StatusOK] != 1 || statuses[http.StatusBadRequest] != many-1 {
			t.Fatalf("%s: %v", what, statuses)
		}
		if w.good(refresh, got[0].Token) {
			t.Errorf("%s: the access token is good", what)
		}
		p.refresh(got[0].Refresh).refused(t, what+": the refresh token", 400, "invalid_grant")
	}
	if !w.good(refresh, untouched.Token) || p.refresh(untouched.Refresh).Status != http.StatusOK {
		t.Error("tokens of another sign-in ended, too")
	}
}
