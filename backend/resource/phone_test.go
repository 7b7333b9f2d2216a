package resource_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"keyladder/backend/resource"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/mechanism/token"
)

// unsigned stands where a signature is going to be.
const unsigned = "still to be signed"

type senderKey struct{}

// sender is who makes a call, for do.
type sender struct {
	site      *site
	app, user string
	stage     catalog.Stage
	body      string
}

// phone is what an app on a phone has got from a server, at a stage, for a user. It gets
// it over the API, as apps do.
type phone struct {
	guid  string
	key   session.Key
	token string
	now   func() time.Time
}

type phoneID struct {
	server           *resource.Server
	app, user, stage string
}

// phone registers the device and signs the user in, once. Others that need the same wait.
func (s *site) phone(server *resource.Server, who sender) *phone {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := phoneID{server, who.app, who.user, who.stage.Slug}
	p := s.phones[id]
	if p == nil {
		p = &phone{now: server.Now}
		s.phones[id] = p
	}
	if p.guid == "" && who.stage.Call.Devices == catalog.RegisteredDevices {
		body := fmt.Sprintf(`{"identifier":%q}`, who.device())
		var told struct{ GUID string }
		s.ask(server, who, p, "/v1/devices", body, http.StatusCreated, &told)
		p.guid = told.GUID
	}
	if p.key == "" && who.stage.Call.UserProof == catalog.UserSession {
		var told struct {
			Key session.Key `json:"session_key"`
		}
		s.ask(server, who, p, "/v1/session", "", http.StatusCreated, &told)
		p.key = told.Key
	}
	if p.token == "" && who.stage.Call.UserProof == catalog.AccessToken {
		var told struct {
			Token string `json:"access_token"`
		}
		form := url.Values{"grant_type": {"password"}, "username": {who.user}, "password": {password}, "client_id": {who.app}}
		s.ask(server, who, p, "/v1/token", form.Encode(), http.StatusOK, &told)
		p.token = told.Token
	}
	return p
}

func (who sender) device() string { return "phone-of-" + who.user + "-with-" + who.app }

func (s *site) ask(server *resource.Server, who sender, p *phone, path, body string, want int, into any) {
	r := s.callAs(who.app, who.user, who.stage.Slug, http.MethodPost, path, body)
	if strings.HasSuffix(path, "/session") {
		if err := session.SetBasic(r.Header, who.user, password); err != nil {
			panic(err)
		}
	}
	who.body = body
	var sent *outgoing
	if who.stage.Call.AppProof == catalog.Hawk {
		sent = who.sign(r, p)
	}
	answer := httptest.NewRecorder()
	server.Handler().ServeHTTP(answer, r)
	if sent != nil {
		sent.receive(answer)
	}
	if answer.Code != want {
		panic(fmt.Sprintf("%s at %s: %d %s", path, who.stage.Slug, answer.Code, answer.Body))
	}
	if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
		panic(err)
	}
}

// prepare signs a request that still has to be; nil: it has not.
func prepare(server *resource.Server, r *http.Request) *outgoing {
	who, ok := r.Context().Value(senderKey{}).(sender)
	if !ok || r.Header.Get("Authorization") != unsigned {
		return nil
	}
	if who.site.secrets[who.app] == "" {
		return nil
	}
	p := who.site.phone(server, who)
	if who.stage.Call.UserProof == catalog.AccessToken {
		token.Set(r.Header, p.token)
		return nil
	}
	if strings.HasSuffix(r.URL.Path, "/v1/session") && r.Method == http.MethodPost {
		if err := session.SetBasic(r.Header, who.user, password); err != nil {
			panic(err)
		}
	} else if p.key != "" {
		session.SetKey(r.Header, p.key)
	}
	return who.sign(r, p)
}

// outgoing is a signed request whose answer is awaited.
type outgoing struct {
	sent *hawk.Sent
	key  string
	head bool
}

func (who sender) sign(r *http.Request, p *phone) *outgoing {
	secret := who.site.secrets[who.app]
	if p.guid != "" {
		deviceid.Set(r.Header, who.device(), p.guid)
	}
	body := []byte(who.body)
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
		if who.stage.Call.Bodies == catalog.SealedBodies {
			keys, err := sealed.DeriveKeys(secret)
			if err != nil {
				panic(err)
			}
			if body, err = keys.Requests.Seal(body, "application/json"); err != nil {
				panic(err)
			}
			r.Header.Set("Content-Type", sealed.MediaType)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	client := hawk.Client{Credentials: hawk.Credentials{ID: who.app, Key: secret}, Host: "localhost", Port: 8443, Field: who.stage.Call.AppProofField()}
	ext := ""
	if who.stage.Call.Binding == catalog.SessionOfCall {
		var err error
		if ext, err = session.Covered(r.Header); err != nil {
			panic(err)
		}
	}
	sent, err := client.Sign(r, body, ext, p.now())
	if err != nil {
		panic(err)
	}
	return &outgoing{sent, secret, r.Method == http.MethodHead}
}

// receive checks that the answer comes from the server, and opens it.
func (o *outgoing) receive(answer *httptest.ResponseRecorder) {
	header, body := answer.Header(), answer.Body.Bytes()
	if header.Get(hawk.ServerAuthorization) == "" {
		if problem.Parse(header.Get("Content-Type"), body) == nil {
			panic(fmt.Sprintf("%d without %s", answer.Code, hawk.ServerAuthorization))
		}
		return // nobody was proven to whom it could be addressed
	}
	seen := body
	if o.head {
		seen = nil
	}
	if _, err := o.sent.CheckResponse(header, seen); err != nil {
		panic(err)
	}
	if header.Get("Content-Type") == sealed.MediaType {
		keys, err := sealed.DeriveKeys(o.key)
		if err != nil {
			panic(err)
		}
		content, contentType, err := keys.Responses.Open(body)
		if err != nil {
			panic(err)
		}
		answer.Body = bytes.NewBuffer(content)
		header.Set("Content-Type", contentType)
	}
}

// forget drops the session keys of all phones: users sign in again.
func (s *site) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.phones {
		p.key = ""
	}
}
