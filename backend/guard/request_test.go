package guard_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"keyladder/backend/guard"
	"keyladder/backend/tokens"
	"keyladder/internal/manage"
	"keyladder/internal/traffic"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/forwarded"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/integrity"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/mechanism/token"
)

// as is who calls, and from which device.
type as struct{ app, user string }

// request is a good one of the mobile app at the stage, as alice where users are known;
// tests spoil it.
func (w *world) request(stage, method, path, body string) *http.Request {
	return w.requestAs(as{mobile, "alice"}, stage, method, path, body)
}

func (w *world) requestAs(who as, stage, method, path, body string) *http.Request {
	w.Helper()
	found, _ := catalog.All().Lookup(stage)
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, "/"+stage+path, content)
	r.Header.Set("User-Agent", "HarbourBank/1.0")
	r.RemoteAddr = "203.0.113.7:4711"
	switch found.Call.Transport {
	case catalog.TLS:
		over(guard.TLS, nil)(r)
	case catalog.MutualTLS:
		over(guard.TLS, w.clients[who.app])(r)
	default:
		over(guard.Plain, nil)(r)
	}
	if found.Call.Gateway == catalog.ThroughGateway {
		w.forward(r, who, func(_ *token.Key, c *forwarded.Claims) {
			if path == "/v1/rates" { // for which the gateway asks for nobody
				c.Subject, c.Scope = "", ""
			}
		})
		return r
	}
	if found.Call.Devices == catalog.RegisteredDevices {
		deviceid.Set(r.Header, "device-of-"+who.app, w.guid(stage, who.app))
	}
	if found.Call.UserProof == catalog.UserSession {
		if strings.HasPrefix(path, "/v1/session") {
			if err := session.SetBasic(r.Header, who.user, password); err != nil {
				w.Fatal(err)
			}
		} else {
			session.SetKey(r.Header, w.key(stage, who))
		}
	}
	if found.Call.UserProof == catalog.AccessToken {
		token.Set(r.Header, w.token(stage, who, "rates:read accounts:read transfers:write accounts:freeze"))
	}
	switch found.Call.AppProof {
	case catalog.Hawk:
		w.prove(r, found.Call, who.app, body)
	case catalog.IntegrityToken:
		integrity.Set(r.Header, w.attestedAt(stage, who.app, nil))
	default:
		appkey.Set(r.Header, found.Call.AppProofField(), who.app)
	}
	return r
}

// token is an access token of an app's user.
func (w *world) token(stage string, who as, scope string) string {
	w.Helper()
	name := stage + who.app + who.user + scope
	if w.issued[name] != "" {
		return w.issued[name]
	}
	issued, err := w.tokens.Issue(context.Background(), w.clock.Now(), tokens.Grant{Stage: stage, User: who.user, Client: who.app, Scope: scope})
	if err != nil {
		w.Fatal(err)
	}
	w.issued[name] = issued.Text
	return issued.Text
}

// registered are all devices.
func (w *world) registered() []manage.Device {
	list, err := w.devices.Query(context.Background(), manage.DeviceQuery{})
	if err != nil {
		panic(err)
	}
	return list.Devices
}

func (w *world) guid(stage, app string) string {
	w.Helper()
	if w.guids[stage+app] == "" {
		guid, err := w.devices.Register(context.Background(), w.clock.Now(), stage, app, "device-of-"+app)
		if err != nil {
			w.Fatal(err)
		}
		w.guids[stage+app] = guid
	}
	return w.guids[stage+app]
}

func (w *world) key(stage string, who as) session.Key {
	w.Helper()
	name := stage + who.app + who.user
	if w.keys[name] == "" {
		key, _, err := w.sessions.Begin(context.Background(), w.clock.Now(), who.user, who.app, stage, "device-of-"+who.app)
		if err != nil {
			w.Fatal(err)
		}
		w.keys[name] = key
	}
	return w.keys[name]
}

// client signs for an app.
func (w *world) client(p catalog.Call, app string) *hawk.Client {
	return &hawk.Client{Credentials: hawk.Credentials{ID: app, Key: w.secrets[app]}, Host: host, Port: port, Field: p.AppProofField()}
}

// prove gives a request its body, sealed where the policy wants that, and signs it.
func (w *world) prove(r *http.Request, p catalog.Call, app, body string) {
	w.Helper()
	sent := []byte(body)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
		if p.Bodies == catalog.SealedBodies {
			sent = w.seal(app, body)
			r.Header.Set("Content-Type", sealed.MediaType)
		}
		if p.Bodies == catalog.SealedPortions {
			var err error
			if sent, _, err = w.sealing(app).Requests.SealMembers(sent, catalog.Confidential()); err != nil {
				w.Fatal(err)
			}
		}
	}
	w.sign(w.client(p, app), r, sent)
}

func (w *world) seal(app, body string) []byte {
	w.Helper()
	sent, err := w.sealing(app).Requests.Seal([]byte(body), "application/json")
	if err != nil {
		w.Fatal(err)
	}
	return sent
}

// sign signs a request as the app does: with what says who the user and the device are,
// where the stage knows users.
func (w *world) sign(client *hawk.Client, r *http.Request, body []byte) {
	w.Helper()
	setBody(r, body)
	ext := ""
	if client.Field == catalog.AppAuthorization {
		var err error
		if ext, err = session.Covered(r.Header); err != nil {
			w.Fatal(err)
		}
	}
	sent, err := client.Sign(r, body, ext, w.clock.Now())
	if err != nil {
		w.Fatal(err)
	}
	w.sent.Store(signature(r), sent)
}

func setBody(r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		r.Body = http.NoBody
	}
}

// over brings a request in on a listener, with a verified client certificate, if any.
func over(listener guard.Listener, certificate *x509.Certificate) func(*http.Request) {
	return func(r *http.Request) {
		*r = *r.WithContext(guard.WithListener(context.Background(), listener))
		r.TLS = nil
		if listener != guard.Plain {
			r.TLS = &tls.ConnectionState{}
		}
		if certificate != nil {
			r.TLS.PeerCertificates = []*x509.Certificate{certificate}
			r.TLS.VerifiedChains = [][]*x509.Certificate{r.TLS.PeerCertificates}
		}
	}
}

// do makes the call and returns the answer and the verdict of the traffic record. An
// authenticated answer is checked, and opened where it is sealed, as the app would.
func (w *world) do(r *http.Request) (*httptest.ResponseRecorder, traffic.Verdict) {
	w.Helper()
	answer := httptest.NewRecorder()
	before := w.log.Last()
	w.echo.ServeHTTP(answer, r)
	records := w.log.After(before)
	if len(records) != 2 || records[0].Kind != traffic.Request || records[1].Verdict == nil {
		w.Fatalf("%d records of one call: %+v", len(records), records)
	}
	w.receive(r, answer)
	return answer, *records[1].Verdict
}

// signature is the field with the request's signature, wherever it is.
func signature(r *http.Request) string {
	if field := r.Header.Get(catalog.AppAuthorization); field != "" {
		return field
	}
	return r.Header.Get("Authorization")
}

func (w *world) receive(r *http.Request, answer *httptest.ResponseRecorder) {
	w.Helper()
	header := answer.Header()
	if header.Get(hawk.ServerAuthorization) == "" {
		if header.Get("Content-Type") == sealed.MediaType {
			w.Errorf("%s: a sealed answer that is not authenticated", r.URL)
		}
		return
	}
	body := answer.Body.Bytes()
	if r.Method == http.MethodHead {
		body = nil // net/http does not send it
	}
	sent, _ := w.sent.Load(signature(r))
	if _, err := sent.(*hawk.Sent).CheckResponse(header, body); err != nil {
		w.Errorf("%s: the answer is not good: %v", r.URL, err)
	}
	if header.Get("Content-Type") != sealed.MediaType {
		return
	}
	signed, err := hawk.Parse(signature(r))
	if err != nil {
		w.Fatal(err)
	}
	keys, err := sealed.DeriveKeys(w.secrets[signed.ID])
	if err != nil {
		w.Fatal(err)
	}
	content, contentType, err := keys.Responses.Open(answer.Body.Bytes())
	if err != nil {
		w.Errorf("%s: the answer can't be opened: %v", r.URL, err)
		return
	}
	answer.Body = bytes.NewBuffer(content)
	header.Set("Content-Type", contentType)
}
