package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
	"keyladder/stages/mechanism/deviceid"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/workshop/deploy"
)

// identity is what the bank's app is shipped with, and what its user knows.
type identity struct {
	id, secret     string
	certificate    tls.Certificate
	roots          []byte
	user, password string
}

func readIdentity(dir string) (who identity, err error) {
	who.id, who.user = deploy.ClientIDs()[0], "alice"
	folders := map[deployment.Role]*deployment.Folder{}
	for _, role := range []deployment.Role{deployment.Offline, deployment.Resource, deployment.Phone} {
		if folders[role], err = deployment.Open(dir, role); err != nil {
			return who, err
		}
	}
	var secrets, passwords map[string]string
	if err := folders[deployment.Resource].JSON("secrets.json", &secrets); err != nil {
		return who, err
	}
	if err := folders[deployment.Phone].JSON("passwords.json", &passwords); err != nil {
		return who, err
	}
	who.secret, who.password = secrets[who.id], passwords[who.user]
	if who.certificate, err = folders[deployment.Offline].Pair("apps/" + who.id); err != nil {
		return who, err
	}
	who.roots, err = folders[deployment.Phone].Read("roots.pem")
	return who, err
}

// raiseLimit gives the app a limit that no measurement reaches.
func raiseLimit(ctx context.Context, dir, app string) error {
	folder, err := deployment.Open(dir, deployment.Admin)
	if err != nil {
		return err
	}
	server, err := manage.NewClient(folder, deployment.Resource)
	if err != nil {
		return err
	}
	change := manage.AppChange{PerSecond: &unreached.PerSecond, Burst: &unreached.Burst}
	return server.Do(ctx, http.MethodPatch, "/apps/"+app, change, nil)
}

// caller makes the calls of the bank's app at a stage.
type caller struct {
	identity
	stage            catalog.Stage
	plain, tls       string // base URLs
	identifier, guid string // of the device, where the stage has devices
	session          session.Key
}

// settle registers a device and signs the user in, where the stage has that.
func (c *caller) settle(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	if c.stage.Call.Devices == catalog.RegisteredDevices {
		identifier := rand.Text()
		var answer struct{ GUID string }
		r, err := c.request(ctx, http.MethodPost, "/v1/devices", map[string]string{"identifier": identifier}, "")
		if err == nil {
			err = c.made(client, r, &answer)
		}
		if err != nil {
			return fmt.Errorf("register a device at %s: %w", c.stage.Slug, err)
		}
		c.identifier, c.guid = identifier, answer.GUID
	}
	if c.stage.Call.UserProof == catalog.UserSession {
		var answer struct {
			Key session.Key `json:"session_key"`
		}
		r, err := c.request(ctx, http.MethodPost, "/v1/session", nil, c.user)
		if err == nil {
			err = c.made(client, r, &answer)
		}
		if err != nil {
			return fmt.Errorf("sign in at %s: %w", c.stage.Slug, err)
		}
		c.session = answer.Key
	}
	return nil
}

// request is a call by the app; user is who signs in with it, empty: nobody.
func (c *caller) request(ctx context.Context, method, path string, content any, user string) (*http.Request, error) {
	policy := c.stage.Call
	base := c.tls
	if policy.Transport == catalog.PlainHTTP {
		base = c.plain
	}
	var body []byte
	media := "application/json"
	if content != nil {
		var err error
		if body, err = json.Marshal(content); err != nil {
			return nil, err
		}
		if policy.Bodies == catalog.SealedBodies {
			keys, err := sealed.DeriveKeys(c.secret)
			if err != nil {
				return nil, err
			}
			if body, err = keys.Requests.Seal(body, media); err != nil {
				return nil, err
			}
			media = sealed.MediaType
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, base+"/"+c.stage.Slug+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "HarbourBank/1.0")
	if len(body) > 0 {
		r.Header.Set("Content-Type", media)
	}
	if c.guid != "" {
		deviceid.Set(r.Header, c.identifier, c.guid)
	}
	if user != "" {
		if err := session.SetBasic(r.Header, user, c.password); err != nil {
			return nil, err
		}
	} else if c.session != "" {
		session.SetKey(r.Header, c.session)
	}
	return r, c.prove(r, body)
}

// prove puts the proof of the app into a request that is finished otherwise.
func (c *caller) prove(r *http.Request, body []byte) (err error) {
	policy := c.stage.Call
	if policy.AppProof != catalog.Hawk {
		appkey.Set(r, c.id)
		return nil
	}
	signer, err := hawk.NewClient(hawk.Credentials{ID: c.id, Key: c.secret}, c.tls)
	if err != nil {
		return err
	}
	signer.Field = policy.AppProofField()
	covered := ""
	if policy.Binding == catalog.SessionOfCall {
		if covered, err = session.Covered(r.Header); err != nil {
			return err
		}
	}
	_, err = signer.Sign(r, body, covered, time.Now())
	return err
}

// prepared are calls as they go over the connection, made and signed now.
func (c *caller) prepared(ctx context.Context, path string, count int) ([][]byte, error) {
	calls := make([][]byte, count)
	for i := range calls {
		r, err := c.request(ctx, http.MethodGet, path, nil, "")
		if err != nil {
			return nil, err
		}
		var raw bytes.Buffer
		if err := r.Write(&raw); err != nil {
			return nil, err
		}
		calls[i] = raw.Bytes()
	}
	return calls, nil
}

// made sends a call that makes something, and reads the answer.
func (c *caller) made(client *http.Client, r *http.Request, into any) error {
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusCreated {
		return fmt.Errorf("the API answers %s %s", response.Status, body)
	}
	if response.Header.Get("Content-Type") == sealed.MediaType {
		keys, err := sealed.DeriveKeys(c.secret)
		if err != nil {
			return err
		}
		if body, _, err = keys.Responses.Open(body); err != nil {
			return err
		}
	}
	return json.Unmarshal(body, into)
}

func (c *caller) client() (*http.Client, error) {
	config, err := c.config(c.stage.Call.Transport)
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: config}}, nil
}

// config is TLS as the app speaks it; nil: it does not.
func (who *identity) config(transport catalog.Transport) (*tls.Config, error) {
	if transport == catalog.PlainHTTP {
		return nil, nil
	}
	roots, err := pki.Pool(who.roots)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "localhost"}
	if transport == catalog.MutualTLS {
		config.Certificates = []tls.Certificate{who.certificate}
	}
	return config, nil
}

// dial opens a connection that stays open.
func (who *identity) dial(ctx context.Context, address string, transport catalog.Transport) (*connection, error) {
	config, err := who.config(transport)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	if config == nil {
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return newConnection(conn), nil
	}
	conn, err := (&tls.Dialer{NetDialer: &dialer, Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return newConnection(conn), nil
}
