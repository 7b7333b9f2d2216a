package attacker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
)

const jsonMedia = "application/json"

// installation is a registered device: an identifier, and the GUID that the API gave
// out for it.
type installation struct{ identifier, guid string }

// imitation is what a program does to its calls so that they look like the app's. What
// that takes is public: it says so in the bank's own description of its API. The
// secrets are not, and whoever has them can do all of this.
type imitation struct {
	policy catalog.Call
	signer *hawk.Client // nil: nothing is signed

	seals sealed.Keys // for bodies, where those are sealed
}

// imitate gets ready to call as the stage demands. Without the app's secret it makes
// calls that are neither signed nor sealed.
func (g *Ground) imitate(as identity) (*imitation, error) {
	i := &imitation{policy: g.Stage.Call}
	switch i.policy.AppProof {
	case catalog.AppKey, catalog.NoAppProof:
		return i, nil
	case catalog.Hawk:
	default:
		return nil, fmt.Errorf("the attacker's programs can't make the app proof %q", i.policy.AppProof)
	}
	if as.secret == "" {
		return i, nil
	}
	var err error
	if i.signer, err = hawk.NewClient(hawk.Credentials{ID: as.key, Key: as.secret}, g.TLS); err != nil {
		return nil, err
	}
	i.signer.Field = i.policy.AppProofField()
	if i.policy.Bodies == catalog.SealedBodies {
		if i.seals, err = sealed.DeriveKeys(as.secret); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// seal encrypts a body where the stage wants that. It returns the body as it is sent,
// and its media type.
func (i *imitation) seal(body []byte) ([]byte, string, error) {
	if len(body) == 0 {
		return nil, "", nil
	}
	if i.policy.Bodies != catalog.SealedBodies || i.signer == nil {
		return body, jsonMedia, nil
	}
	body, err := i.seals.Requests.Seal(body, jsonMedia)
	return body, sealed.MediaType, err
}

// open decrypts an answer that is sealed. One that is sealed for somebody else stays as
// it is.
func (i *imitation) open(a answer) answer {
	if a.header.Get("Content-Type") != sealed.MediaType {
		return a
	}
	body, contentType, err := i.seals.Responses.Open(a.body)
	if err != nil {
		return a
	}
	a.header = a.header.Clone()
	a.header.Set("Content-Type", contentType)
	a.body = body
	return a
}

// prove adds to a request what makes the API take it for the app's. It is the last
// thing that is done to a request.
func (i *imitation) prove(request *http.Request, as identity, body []byte) error {
	switch {
	case i.signer != nil:
		ext := ""
		if i.policy.Binding == catalog.SessionOfCall {
			var err error
			if ext, err = session.Covered(request.Header); err != nil {
				return err
			}
		}
		_, err := i.signer.Sign(request, body, ext, time.Now())
		return err
	case i.policy.AppProof == catalog.AppKey && as.key != "":
		appkey.Set(request, as.key)
	}
	return nil
}

// request is a call as the app would make it, and its body as it is sent.
func (p *program) request(ctx context.Context, method, path string, content []byte) (*http.Request, []byte, error) {
	body, mediaType, err := p.app.seal(content)
	if err != nil {
		return nil, nil, err
	}
	request, err := newRequest(ctx, method, p.g.api()+path, body)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("User-Agent", p.as.userAgent)
	request.Header.Set("Accept", jsonMedia)
	request.Header.Set(traffic.Header, rand.Text())
	if mediaType != "" {
		request.Header.Set("Content-Type", mediaType)
	}
	if p.as.device != (installation{}) {
		deviceid.Set(request.Header, p.as.device.identifier, p.as.device.guid)
	}
	if p.as.session != "" {
		session.SetKey(request.Header, p.as.session)
	}
	if p.user != "" { // it is signing in
		if err := session.SetBasic(request.Header, p.user, p.password); err != nil {
			return nil, nil, err
		}
	}
	if err := p.app.prove(request, p.as, body); err != nil {
		return nil, nil, err
	}
	if p.authorization != "" { // instead of all of that
		request.Header.Set(p.app.policy.AppProofField(), p.authorization)
	}
	return request, body, nil
}

const (
	devicesPath = "/v1/devices"
	signInPath  = "/v1/session"
)

// register makes the program an installation of its own, where the stage tells
// installations apart. Everybody who has the app can do that.
func (p *program) register(ctx context.Context) error {
	if p.g.Stage.Call.Devices != catalog.RegisteredDevices || p.as.device != (installation{}) {
		return nil
	}
	identifier := rand.Text()
	got, err := p.call(ctx, http.MethodPost, devicesPath, map[string]string{"identifier": identifier})
	if err != nil {
		return err
	}
	var registered struct {
		GUID string `json:"guid"`
	}
	if err := json.Unmarshal(got.body, &registered); err != nil || registered.GUID == "" {
		return errors.New("the API registers a device and gives no GUID for it")
	}
	p.as.device = installation{identifier, registered.GUID}
	return nil
}

// signIn opens a session for a user where the stage knows users, unless there is one.
func (p *program) signIn(ctx context.Context, user, password string) error {
	if p.g.Stage.Call.UserProof != catalog.UserSession || p.as.session != "" {
		return nil
	}
	_, err := p.openSession(ctx, user, password)
	return err
}

func (p *program) openSession(ctx context.Context, user, password string) (answer, error) {
	p.user, p.password = user, password
	got, err := p.call(ctx, http.MethodPost, signInPath, nil)
	p.user, p.password = "", ""
	if err != nil {
		return got, err
	}
	var opened struct {
		Key string `json:"session_key"`
	}
	if err := json.Unmarshal(got.body, &opened); err != nil {
		return got, fmt.Errorf("read the answer to the sign-in: %w", err)
	}
	if p.as.session, err = session.ParseKey(opened.Key); err != nil {
		return got, fmt.Errorf("read the answer to the sign-in: %w", err)
	}
	return got, nil
}

// enter does what the app does before it can be used: it registers, and signs in the
// attacker, who is a customer, too.
func (p *program) enter(ctx context.Context) error {
	if err := p.register(ctx); err != nil {
		return err
	}
	return p.signIn(ctx, p.g.User, p.g.Password)
}
