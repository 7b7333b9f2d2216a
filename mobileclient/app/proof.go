package main

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
)

// Errors of the app's own checks of answers.
var (
	errNotSealed = errors.New("the answer is not sealed")
	errNotTime   = errors.New("the server's time is not authentic")
)

// protect adds to a request what the stage demands: who the installation, the user
// and the app are. The body is what is going to be sent, and everything else of the
// request is there already, because the app's proof covers most of it. It returns what
// is needed to check the answer; nil: the answer proves nothing.
//
//keyladder:code app-hawk
func (b *bank) protect(req *http.Request, body []byte, r request) (*hawk.Sent, error) {
	if device := b.device(); device != nil {
		deviceid.Set(req.Header, device.Identifier, device.GUID)
	}
	switch {
	case r.login != nil:
		if err := session.SetBasic(req.Header, r.login.user, r.login.password); err != nil {
			return nil, err
		}
	case r.session != "":
		session.SetKey(req.Header, r.session)
	}
	switch {
	case b.plan.hawk != nil:
		ext := ""
		if b.plan.signsCaller {
			var err error
			if ext, err = session.Covered(req.Header); err != nil {
				return nil, err
			}
		}
		return b.plan.hawk.Sign(req, body, ext, time.Now())
	case b.plan.key == "":
	case r.public && b.plan.keyInURL:
		appkey.SetQuery(req, b.plan.key)
	default:
		appkey.Set(req, b.plan.key)
	}
	return nil, nil
}

// answer is what the server said, as far as it can be relied on.
type answer struct {
	status    int
	media     string // of the body
	body      []byte
	authentic bool // it comes from somebody with the secret
}

// check makes sure that an answer is the bank's, and opens it. A success has to be
// authentic. A refusal need not be, because the server can't sign for an app that it
// does not know; it can stop the app, as anybody on the way can.
//
// The status is not covered by the signature. So what counts as a success is decided by
// the body's media type as well: problems are authentic too, and a proxy could send one
// on as a 200.
//
//keyladder:code app-response
func (p *plan) check(sent *hawk.Sent, resp *http.Response, body []byte) (answer, error) {
	a := answer{status: resp.StatusCode, media: mediaType(resp.Header.Get("Content-Type")), body: body}
	if sent == nil {
		return a, nil
	}
	success := a.status < 300
	_, err := sent.CheckResponse(resp.Header, body)
	switch {
	case err == nil:
		a.authentic = true
	case errors.Is(err, hawk.ErrUnsigned) && !success:
		return a, nil
	default:
		return a, err
	}
	if p.seals == nil || len(body) == 0 {
		return a, nil
	}
	if a.media != sealed.MediaType {
		if success {
			return a, errNotSealed
		}
		return a, nil
	}
	content, contentType, err := p.seals.Responses.Open(body)
	if err != nil {
		return a, err
	}
	a.media, a.body = mediaType(contentType), content
	return a, nil
}

// learn sets the clock by a refusal that tells the time, and says whether it did. Only
// somebody with the secret can tell it.
func (p *plan) learn(resp *http.Response) (bool, error) {
	if p.hawk == nil {
		return false, nil
	}
	switch err := p.hawk.Learn(resp.StatusCode, resp.Header, time.Now()); {
	case errors.Is(err, hawk.ErrNoTime):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", errNotTime, err)
	}
	return true, nil
}

func mediaType(field string) string {
	media, _, err := mime.ParseMediaType(field)
	if err != nil {
		return ""
	}
	return media
}
