package attack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyladder/internal/problem"
	"keyladder/mobileclient/attacker/network"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/protect"
)

// Refusal says that a protection stopped a call. Anything else that goes wrong is
// another error, because it says nothing about the stage.
type Refusal struct {
	Check    catalog.Check // only where nobody but the attacker can tell
	Obstacle string
}

func (r *Refusal) Error() string { return r.Obstacle }

// Stopped turns a [*Refusal] into the result of an attack; other errors stay errors.
func Stopped(err error) (Result, error) {
	var r *Refusal
	if errors.As(err, &r) {
		return Result{Check: r.Check, Obstacle: r.Obstacle}, nil
	}
	return Result{}, err
}

// Judge is nil where the call was served, and a [*Refusal] where the API says that a
// protection refused it. Behind the end of TLS the problem may be sealed for the app.
func Judge(status int, contentType string, body []byte) error {
	if status >= 200 && status < 300 {
		return nil
	}
	if refused := status == http.StatusUnauthorized || status == http.StatusForbidden; refused && isSealed(body) {
		return &Refusal{Obstacle: fmt.Sprintf("the API answers %d, and why is sealed for the app", status)}
	}
	if err := judgeGrant(status, body); err != nil {
		return err
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
		return &Refusal{Obstacle: fmt.Sprintf("the API answers %d, %s", status, p.Title)}
	}
	return fmt.Errorf("the API answered %d, %s: no protection, something is wrong", status, p.Title)
}

// judgeGrant is a [*Refusal] where a token endpoint says that it issues no token, and nil where
// the answer is none of a token endpoint's.
func judgeGrant(status int, body []byte) error {
	refused := protect.Answer{Status: status, Media: protect.JSON, Body: body}.GrantError()
	switch {
	case refused == nil:
		return nil
	case refused.Code == "invalid_grant", refused.Code == "invalid_client", refused.Code == "unauthorized_client":
		return &Refusal{Obstacle: fmt.Sprintf("no access token is issued: %d, %s", status, refused.Code)}
	}
	return fmt.Errorf("no access token is issued: %d, %s", status, refused.Code)
}

// isSealed tells whether a body is a JWE in compact form.
func isSealed(body []byte) bool {
	var k sealed.Key // opens nothing, and says why
	_, _, err := k.Open(body)
	return errors.Is(err, sealed.ErrOpen)
}

// retryAfter says how long the API wants to be left alone, if it does.
func retryAfter(response *http.Response) (time.Duration, bool) {
	if response.StatusCode != http.StatusTooManyRequests {
		return 0, false
	}
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 1
	}
	wait := time.Duration(seconds) * time.Second
	return wait, wait <= network.Timeout
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

// alerted makes a [*Refusal] of the TLS alert with which a server refuses a client
// certificate. Other errors stay errors.
func (p *Program) alerted(ctx context.Context, err error) error {
	if alert := certificateAlert(err); alert != nil {
		return alert
	}
	if p.Caller.Identity().Certificate != nil {
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
		return &Refusal{Check: catalog.CheckClientCert, Obstacle: fmt.Sprintf("the API ends the TLS handshake: %v", op.Err)}
	}
	return nil
}

// handshake opens a TLS connection, sends nothing, and waits for an alert: in TLS 1.3
// the server looks at the certificate when the client's side is done already.
func (p *Program) handshake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	url, err := p.Caller.URL("")
	if err != nil {
		return err
	}
	conn, err := p.g.Routes.DialTLS(network.Dialer, p.Caller.TLS(p.g.Roots))(ctx, "tcp", url.Host)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	_, err = conn.Read(make([]byte, 1))
	return err
}
