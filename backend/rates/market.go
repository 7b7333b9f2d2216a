package rates

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"keyladder/backend/rates/customers"
	"keyladder/internal/deployment"
	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
)

const path = "/v1/market-rates"

// goodFor is how long rates hold, and so for how long an answer may be kept.
const goodFor = 5 * time.Second

// Market is what currencies are bought and sold at.
type Market struct {
	Provider string           `json:"provider"`
	Base     string           `json:"base"` // ISO 4217: what one unit of it costs
	AsOf     time.Time        `json:"as_of"`
	Rates    map[string]Quote `json:"rates"` // by currency, ISO 4217
}

// Quote is what a currency is bought and sold at: decimal numbers, as text so that nobody rounds them.
type Quote struct {
	Bid string `json:"bid"`
	Ask string `json:"ask"`
}

var quotes = map[string]Quote{
	"CHF": {"0.9310", "0.9314"}, "DKK": {"7.4600", "7.4608"}, "GBP": {"0.8419", "0.8423"}, "JPY": {"163.43", "163.47"},
	"NOK": {"11.7220", "11.7280"}, "SEK": {"11.4850", "11.4910"}, "USD": {"1.0832", "1.0836"},
}

func market(at time.Time) Market {
	return Market{Provider: "Lighthouse Rates", Base: "EUR", AsOf: at.UTC().Truncate(goodFor), Rates: quotes}
}

// refusal is why a call is not served, for its caller and, apart from it, for the record.
type refusal struct {
	check   catalog.Check
	problem *problem.Problem
	reason  error
}

// marketRates answers a call: it decides, records and writes.
func (s *Server) marketRates(c echo.Context) error {
	r, at := c.Request(), s.config.Now()
	request := s.record(r, at)
	header := c.Response().Header()
	customer, refused := s.decide(header, r, at)
	s.usage.Count(at, customer, "", http.MethodGet+" "+path, refused == nil)
	if refused != nil {
		for name, values := range refused.problem.Header {
			header[name] = values
		}
		return s.write(c, request, refused.problem.Status, problem.ContentType, refused.problem, &traffic.Verdict{Check: refused.check, Reason: refused.reason.Error()})
	}
	header.Set(echo.HeaderCacheControl, "max-age="+strconv.Itoa(int(goodFor.Seconds())))
	return s.write(c, request, http.StatusOK, echo.MIMEApplicationJSON, market(at), &traffic.Verdict{
		Allowed: true, Check: catalog.CheckRatesQuota, Reason: "it is " + customer + "'s, and something was left of its quotas",
	})
}

// decide says whose call it is, and why it is not served; nil: it is. The rest of the quotas is
// announced in any case, to customers that have any.
func (s *Server) decide(header http.Header, r *http.Request, at time.Time) (customer string, _ *refusal) {
	customer, err := s.keys.Customer(r)
	switch {
	case errors.Is(err, customers.ErrTwice):
		return "", &refusal{catalog.CheckRatesKey, problem.New(http.StatusBadRequest, "bad-request", "There is more than one key", "Send one, in one field "+customers.Field+"."), err}
	case err != nil:
		return "", &refusal{catalog.CheckRatesKey, problem.New(http.StatusUnauthorized, "key-not-accepted", "This is for customers with a key",
			"Send yours in the field "+customers.Field+".").With("WWW-Authenticate", customers.Field+` realm="Lighthouse Rates"`), err}
	}
	now, usedUp := s.quotas.take(customer, at)
	announce(header, now)
	if usedUp != nil {
		return customer, &refusal{
			catalog.CheckRatesQuota,
			problem.New(http.StatusTooManyRequests, "quota-used-up", "The quota of the "+usedUp.name+" is used up",
				fmt.Sprintf("There are %d calls for a %s. The next one begins after the time in Retry-After, in seconds.", usedUp.quota.calls, usedUp.name)).
				With("Retry-After", strconv.Itoa(usedUp.seconds())),
			fmt.Errorf("%s has used up its %d calls for the %s", customer, usedUp.quota.calls, usedUp.name),
		}
	}
	return customer, nil
}

const client = "network" // who calls: that is for the caller's records to tell

func (s *Server) record(r *http.Request, at time.Time) traffic.Message {
	return traffic.Message{
		At: at, Lane: traffic.Server, Stage: traffic.StageOf(r), Exchange: traffic.ExchangeOf(r), Kind: traffic.Request,
		From: client, To: string(deployment.Rates), HTTP: traffic.RequestHead(r),
	}
}

// write writes an answer, and records it with what was asked.
func (s *Server) write(c echo.Context, request traffic.Message, status int, mediaType string, body any, verdict *traffic.Verdict) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	c.Response().Header().Set(echo.HeaderContentType, mediaType)
	answer := request
	answer.At, answer.Kind, answer.From, answer.To, answer.Verdict = s.config.Now(), traffic.Response, request.To, client, verdict
	answer.HTTP = traffic.AnswerHead(c.Request().Proto, status, c.Response().Header())
	answer.Body, answer.Size = text, len(text)
	s.config.Log.Add(request, answer)
	return c.Blob(status, mediaType, text)
}
