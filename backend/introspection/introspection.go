// Package introspection asks another server what an access token stands for (RFC 7662), where the
// token itself does not say it.
//
// An answer is remembered for less than a second, good or bad. So a call costs a request to the other
// server now and then only, and a token that was revoked there is refused here within a second. While
// the other server does not answer, nobody knows whether its tokens are good: none is.
package introspection

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"keyladder/backend/tokens"
	"keyladder/internal/deployment"
	"keyladder/internal/route"
	"keyladder/internal/serve"
	"keyladder/internal/traffic"
	"keyladder/stages/mechanism/token"
)

// Errors of [Client.Find].
var (
	// ErrInactive means that the token is not good, or not any more; why, nobody is told.
	ErrInactive = errors.New("its issuer says that it is not active")
	// ErrUnanswered means that nobody knows whether it is good.
	ErrUnanswered = errors.New("its issuer can't be asked about it")
)

const (
	remembered = 10_000                 // answers
	goodFor    = 750 * time.Millisecond // each, from when it was asked for
	patience   = 3 * time.Second        // that the other server may take
	mostAnswer = 64 << 10               // bytes
	agent      = "HarbourAPI/1.0"
)

// Config is what a client needs.
type Config struct {
	As       deployment.Client
	Issuer   func(stage string) string // the other server at a stage; its endpoint is below
	Audience func(stage string) string // this API there, which the tokens have to be for
	Program  string                    // this one's name in records
	Roots    *x509.CertPool
	Routes   route.Table
	Log      *traffic.Log     // nil: no records
	Now      func() time.Time // nil: the clock
}

// Client asks another server. It is safe for concurrent use.
type Client struct {
	config  Config
	http    *http.Client
	answers *lru.Cache[key, found]
	asking  singleflight.Group
}

type key [sha256.Size]byte

// found is what was learned about a token.
type found struct {
	token *tokens.Token // nil: it is not active
	asked time.Time
}

// New makes a client.
func New(config Config) *Client {
	if config.Now == nil {
		config.Now = time.Now
	}
	answers, _ := lru.New[key, found](remembered) // an error is for a size below 1
	return &Client{config: config, answers: answers, http: serve.Client(config.Roots, config.Routes, patience)}
}

// Find tells what a token of a stage stands for, for a call that has come. Its error is
// [ErrInactive] or [ErrUnanswered].
//
//keyladder:code introspection-find
func (c *Client) Find(call *http.Request, stage, text string) (*tokens.Token, error) {
	of := key(sha256.Sum256([]byte(stage + " " + text)))
	last, ok := c.answers.Get(of)
	if age := c.config.Now().Sub(last.asked); !ok || age < 0 || age > goodFor {
		asked, err, _ := c.asking.Do(string(of[:]), func() (any, error) {
			now := found{asked: c.config.Now()} // before the answer: what is revoked while it is made counts
			var err error
			// It is asked for all calls that wait, and not for the one alone that came first.
			if now.token, err = c.ask(context.WithoutCancel(call.Context()), call, stage, text); err == nil {
				c.answers.Add(of, now)
			}
			return now, err
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnanswered, err)
		}
		last = asked.(found)
	}
	if last.token == nil || !c.config.Now().Before(last.token.Expires) {
		return nil, ErrInactive
	}
	return last.token, nil
}

// answer is what is read of an answer (RFC 7662, section 2.2).
type answer struct {
	Active   bool   `json:"active"`
	Scope    string `json:"scope"`
	ClientID string `json:"client_id"`
	Expires  int64  `json:"exp"` // seconds since 1970, and so is iat
	Issued   int64  `json:"iat"`
	Subject  string `json:"sub"`
	Audience string `json:"aud"`
	Issuer   string `json:"iss"`
	ID       string `json:"jti"`
}

// ask asks the other server. Nil: the token is not good here.
func (c *Client) ask(ctx context.Context, call *http.Request, stage, text string) (*tokens.Token, error) {
	form := url.Values{"token": {text}, "token_type_hint": {"access_token"}, "client_id": {c.config.As.ID}, "client_secret": {c.config.As.Secret}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.Issuer(stage)+"/introspect", strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", agent)
	if exchange := traffic.ExchangeOf(call); exchange != "" {
		r.Header.Set(traffic.Header, exchange)
	}
	record := c.config.Log.Asked(c.config.Program, stage, r, []byte(form))
	response, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswer))
	if err != nil {
		return nil, err
	}
	record(response, body)
	var said answer
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers with the status %d", response.StatusCode)
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, errors.New("its answer is none of RFC 7662")
	}
	complete := !slices.Contains([]string{said.ClientID, said.Subject, said.ID}, "") && said.Expires > 0
	if !said.Active || !complete || said.Issuer != c.config.Issuer(stage) || said.Audience != c.config.Audience(stage) {
		return nil, nil
	}
	return tokens.Elsewhere(stage, token.Claims{
		Issuer: said.Issuer, Subject: said.Subject, Audience: []string{said.Audience}, ClientID: said.ClientID,
		Issued: time.Unix(said.Issued, 0).UTC(), Expires: time.Unix(said.Expires, 0).UTC(), ID: said.ID, Scope: said.Scope,
	}), nil
}

// Close closes idle connections.
func (c *Client) Close() {
	if c != nil {
		c.http.CloseIdleConnections()
	}
}
