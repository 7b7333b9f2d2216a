package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/mobileclient/factory"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/jwk"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

// identity is what the bank's app is shipped with, and what its user knows.
type identity struct {
	id, secret     string
	clientSecret   string // of OAuth
	certificate    tls.Certificate
	servers        tokenClient // what servers authenticate with, where apps do not
	roots          []byte
	packages       *deployment.Folder // with the app's
	user, password string
	answers        []jwk.Key // that the API's answers are signed with
}

func readIdentity(dir string) (who identity, err error) {
	who.id, who.user = deploy.ClientIDs()[0], "alice"
	folders := map[deployment.Role]*deployment.Folder{}
	for _, role := range []deployment.Role{deployment.Offline, deployment.Auth, deployment.Resource, deployment.Phone} {
		if folders[role], err = deployment.Open(dir, role); err != nil {
			return who, err
		}
	}
	var secrets, clientSecrets, passwords map[string]string
	if err := folders[deployment.Auth].JSON("secrets.json", &clientSecrets); err != nil {
		return who, err
	}
	if err := folders[deployment.Resource].JSON("secrets.json", &secrets); err != nil {
		return who, err
	}
	if err := folders[deployment.Phone].JSON("passwords.json", &passwords); err != nil {
		return who, err
	}
	who.secret, who.clientSecret, who.password = secrets[who.id], clientSecrets[who.id], passwords[who.user]
	who.servers = tokenClient{who.id + "-servers", clientSecrets[who.id+"-servers"]}
	if who.certificate, err = folders[deployment.Offline].Pair("apps/" + who.id); err != nil {
		return who, err
	}
	who.answers = make([]jwk.Key, 1)
	if err := folders[deployment.Offline].JSON(deploy.AnswersFile, &who.answers[0]); err != nil {
		return who, err
	}
	who.packages = folders[deployment.Phone]
	who.roots, err = who.packages.Read("roots.pem")
	return who, err
}

// ready waits until the servers are ready, and gives the app a limit that no measurement reaches.
func ready(ctx context.Context, dir, app string) error {
	folder, err := deployment.Open(dir, deployment.Admin)
	if err != nil {
		return err
	}
	servers, err := manage.NewClients(folder)
	if err != nil {
		return err
	}
	if err := manage.AwaitServers(ctx, servers); err != nil {
		return err
	}
	change := manage.AppChange{PerSecond: &unreached.PerSecond, Burst: &unreached.Burst}
	for _, role := range []deployment.Role{deployment.Resource, deployment.Auth} {
		if err := servers[role].Do(ctx, http.MethodPatch, "/apps/"+app, change, nil); err != nil {
			return err
		}
	}
	return nil
}

// caller makes the calls of the bank's app at a stage.
type caller struct {
	*protect.Caller
	identity
	stage catalog.Stage
}

func newCaller(stage catalog.Stage, who identity, at addresses) (*caller, error) {
	secret := who.secret
	if stage.Call.ClientAuth == catalog.ClientSecret {
		secret = who.clientSecret
	}
	api := protect.API{Stage: stage.Slug, Plain: "http://" + at.Plain, TLS: "https://" + at.TLS, Auth: "https://" + at.Auth, Attestation: "https://" + at.Attestation, Mediator: "https://" + at.Mediator, Answers: who.answers}
	made, err := protect.New(stage.Call, api, protect.Identity{UserAgent: "HarbourBank/1.0", ClientID: who.id, Secret: secret, Certificate: &who.certificate})
	if err != nil {
		return nil, err
	}
	return &caller{Caller: made, identity: who, stage: stage}, nil
}

// settle registers a device and signs the user in, where the stage has that.
func (c *caller) settle(ctx context.Context) error {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: c.TLS(c.roots)}}
	defer client.CloseIdleConnections()
	if c.stage.Call.Devices == catalog.RegisteredDevices {
		identifier := rand.Text()
		answer, err := c.made(ctx, client, protect.RegisterCall(identifier))
		if err != nil {
			return fmt.Errorf("register a device at %s: %w", c.stage.Slug, err)
		}
		device, err := protect.ReadInstallation(answer, identifier)
		if err != nil {
			return err
		}
		if c.Caller, err = c.As(func(who *protect.Identity) { who.Device = device }); err != nil {
			return err
		}
	}
	if c.stage.Call.AppProof == catalog.IntegrityToken {
		if err := c.attest(ctx, client); err != nil {
			return fmt.Errorf("be attested at %s: %w", c.stage.Slug, err)
		}
	}
	if c.stage.Call.Grant.InAgent() {
		opened, err := c.onPages(ctx, client)
		if err != nil {
			return fmt.Errorf("sign in at %s: %w", c.stage.Slug, err)
		}
		c.Caller, err = c.As(opened.Show)
		return err
	}
	if c.stage.Call.UserProof != catalog.NoUser {
		call, err := c.SignInCall(c.user, c.password)
		if err != nil {
			return err
		}
		answer, err := c.made(ctx, client, call)
		if err != nil {
			return fmt.Errorf("sign in at %s: %w", c.stage.Slug, err)
		}
		opened, err := c.ReadSignIn(c.user, answer)
		if err != nil {
			return err
		}
		if c.Caller, err = c.As(opened.Show); err != nil {
			return err
		}
	}
	return nil
}

// equip takes the place of an app, on a phone of its own, whose key signs the caller's calls from now on
// where the stage wants that. The phone stays on for as long as this process.
func (c *caller) equip(path string) (*deploy.App, error) {
	phone, err := os.MkdirTemp("", "keyladder-bench-phone-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(phone) // all of it is read by then
	plant, err := factory.Open(c.packages)
	if err == nil {
		err = plant.Make(phone)
	}
	if err != nil && !errors.Is(err, factory.ErrNone) {
		return nil, err
	}
	app, err := deploy.OpenApp(path, rand.Text(), phone)
	if err != nil {
		return nil, err
	}
	c.Caller, err = app.Equip(c.Caller)
	return app, err
}

// attest shows an attestation service the bank's app.
func (c *caller) attest(ctx context.Context, client *http.Client) error {
	app, err := c.equip(c.packages.Path(deploy.PackageName(c.stage.Package.Release)))
	if err != nil {
		return err
	}
	held, err := app.Attest(ctx, client, c.Caller)
	if err != nil {
		return err
	}
	c.Caller, err = c.As(held.Show)
	return err
}

// onPages signs the user in on the pages of the authorization server.
func (c *caller) onPages(ctx context.Context, client *http.Client) (protect.SignedIn, error) {
	oauth, err := c.OAuth(deploy.RedirectURI())
	if err != nil {
		return protect.SignedIn{}, err
	}
	return person.Person{Name: c.user, Password: c.password}.SignInTo(ctx, oauth, client, deploy.RedirectURI())
}

// made sends a call that makes something, and returns what the answer says.
func (c *caller) made(ctx context.Context, client *http.Client, call protect.Call) ([]byte, error) {
	dressed, err := c.Dress(call)
	if err != nil {
		return nil, err
	}
	request, err := dressed.HTTP(ctx)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	answer, err := dressed.Check(response, body)
	if err != nil {
		return nil, err
	}
	if answer.Status >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("the API answers %s %s", response.Status, answer.Body)
	}
	return answer.Body, nil
}

// renewed has the caller know the nonce that its server gives out now, where proofs have one.
func (c *caller) renewed(ctx context.Context) (err error) {
	if c.stage.Call.Sender != catalog.DPoPProofs {
		return nil
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: c.TLS(c.roots)}}
	defer client.CloseIdleConnections()
	for range 2 { // the first may bring it
		if _, err = c.made(ctx, client, protect.Call{Path: Rates, Public: true}); err == nil {
			return nil
		}
	}
	return err
}

// prepared are calls as they go over the connection, made and signed now.
func (c *caller) prepared(ctx context.Context, path string, count int) ([][]byte, error) {
	if err := c.renewed(ctx); err != nil {
		return nil, err
	}
	calls := make([][]byte, count)
	for i := range calls {
		dressed, err := c.Dress(protect.Call{Path: path, Public: path == Rates})
		if err != nil {
			return nil, err
		}
		request, err := dressed.HTTP(ctx)
		if err != nil {
			return nil, err
		}
		var raw bytes.Buffer
		if err := request.Write(&raw); err != nil {
			return nil, err
		}
		calls[i] = raw.Bytes()
	}
	return calls, nil
}

// config is TLS without pins, for what is no stage; nil: there is none.
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
		clientcert.Present(config, who.certificate)
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
