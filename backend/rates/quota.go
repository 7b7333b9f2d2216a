package rates

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"keyladder/internal/manage"
)

const day = 24 * time.Hour

// quota is how many calls there are for a key in each window. Windows follow each other without a
// gap, in UTC: minutes, and days.
type quota struct {
	name   string
	calls  int
	window time.Duration
}

// quotas is what was used of them.
type quotas struct {
	minute, day quota

	mu   sync.Mutex
	used map[string]*[2]used // by customer: of the minute, and of the day
}

// used is what was used in a window.
type used struct {
	begin time.Time
	calls int
}

func newQuotas(perMinute, perDay int) (*quotas, error) {
	if perMinute < 1 || perDay < 1 {
		return nil, errors.New("quotas must be above zero")
	}
	return &quotas{
		minute: quota{"minute", perMinute, time.Minute}, day: quota{"day", perDay, day}, used: map[string]*[2]used{},
	}, nil
}

// windows are the quotas with what a customer has used of them at a time; q.mu is held.
func (q *quotas) windows(customer string, at time.Time) (*[2]used, [2]quota) {
	of, both := q.used[customer], [2]quota{q.minute, q.day}
	if of == nil {
		of = &[2]used{}
		q.used[customer] = of
	}
	for i, quota := range both {
		if begin := at.Truncate(quota.window); begin.After(of[i].begin) {
			of[i] = used{begin: begin}
		}
	}
	return of, both
}

// add counts calls of a customer that were made before the server was started.
func (q *quotas) add(customer string, at time.Time, calls int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	of, _ := q.windows(customer, at)
	of[1].calls += calls
}

// left is what is left of a quota.
type left struct {
	quota
	calls int
	end   time.Duration // until when
}

// take takes a call out of both quotas of a customer, or out of none where one is used up: then that
// is the one it returns.
//
//keyladder:code rates-quota
func (q *quotas) take(customer string, at time.Time) (now [2]left, usedUp *left) {
	q.mu.Lock()
	defer q.mu.Unlock()
	of, both := q.windows(customer, at)
	for i := len(both) - 1; i >= 0; i-- { // who has to wait for the day need not hear of the minute
		if of[i].calls >= both[i].calls && usedUp == nil {
			usedUp = &now[i]
		}
	}
	for i, quota := range both {
		if usedUp == nil {
			of[i].calls++
		}
		now[i] = left{quota, max(0, quota.calls-of[i].calls), of[i].begin.Add(quota.window).Sub(at)}
	}
	return now, usedUp
}

// seconds until the window ends, at least 1: the fields know no smaller unit.
func (l left) seconds() int { return max(1, int((l.end+time.Second-1)/time.Second)) }

// announce tells what is left, in the fields of draft-ietf-httpapi-ratelimit-headers-11.
func announce(header http.Header, now [2]left) {
	var policies, limits []string
	for _, l := range now {
		policies = append(policies, fmt.Sprintf(`"%s";q=%d;w=%d`, l.name, l.quota.calls, int(l.window.Seconds())))
		limits = append(limits, fmt.Sprintf(`"%s";r=%d;t=%d`, l.name, l.calls, l.seconds()))
	}
	header.Set("RateLimit-Policy", strings.Join(policies, ", "))
	header.Set("RateLimit", strings.Join(limits, ", "))
}

// reset forgets what was used.
func (q *quotas) reset() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used = map[string]*[2]used{}
}

// all is what each of these customers has used, in their order.
func (q *quotas) all(customers []string, at time.Time) []manage.Quota {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := []manage.Quota{}
	for _, customer := range customers {
		of, both := q.windows(customer, at)
		for i, quota := range both {
			list = append(list, manage.Quota{
				Customer: customer, Window: quota.name, Calls: quota.calls, Used: of[i].calls, Ends: of[i].begin.Add(quota.window),
			})
		}
	}
	return list
}
