package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/clientcert"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/httpsig"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

func tokenCommand() *cobra.Command {
	var dir, slug, user, provider string
	var own ownProof
	var asJSON bool
	c := &cobra.Command{
		Use:   "token",
		Short: "Sign in as a person, and print what the app would hold then, as fields for curl",
		Long: `Sign in as a person of the workshop, with the password from phone/passwords.json, and print
what the app would hold then, as fields for curl:

  go run ./stages token --stage password-grant --user alice > alice.txt
  curl -H @alice.txt …

Where users sign in on the pages of the authorization server, the person goes through these.
Where the app is attested, the attestation service is answered out of the genuine package, and
the client integrity token is among the fields. It is good for a minute.
Where the app signs each request, or proves that it has a key, that is for stages sign, which
takes the fields on its standard input. A key is in the secure hardware of a phone: --phone
keeps that. What the app holds besides fields, a refresh token and a client attestation, is
printed with --json:

  go run ./stages token --stage refresh --user alice --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			stage, err := builtStage(slug)
			if err != nil {
				return err
			}
			if stage.Call.UserProof == catalog.NoUser {
				return fmt.Errorf("nobody signs in at the stage %s", stage.Slug)
			}
			folder, err := deployment.Open(dir, deployment.Phone)
			if err != nil {
				return err
			}
			people, err := person.Known(folder)
			if err != nil {
				return err
			}
			who := people.Named(user)
			who.Provider = provider
			if who.Password == "" {
				return fmt.Errorf("nobody knows a password of %q: the people are %q", user, people.Names())
			}
			held, err := heldByApp(c.Context(), folder, stage, who, own)
			if err != nil {
				return err
			}
			if asJSON {
				return held.write(c.OutOrStdout())
			}
			for _, name := range slices.Sorted(maps.Keys(held.header)) {
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: %s\n", name, held.header.Get(name)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	dataFlag(c, &dir)
	c.Flags().StringVar(&slug, "stage", "", "the stage")
	c.Flags().BoolVar(&asJSON, "json", false, "print the fields as JSON and, where there are any, the refresh token and the client attestation")
	c.Flags().StringVar(&own.secret, "secret", "", "a secret to use in place of the one that the app was shipped with")
	c.Flags().StringVar(&own.integrity, "integrity", "", "a client integrity token to use in place of one for the genuine package")
	own.phone.flags(c)
	c.Flags().BoolVar(&own.phone.unlocked, "unlocked-phone", false, "take a phone whose boot loader is unlocked, so that its owner can have its secure hardware sign in the app's name")
	c.Flags().StringVar(&user, "user", "", "name of the person: alice")
	c.Flags().StringVar(&provider, "provider", "", "name of the provider on whose page they sign in, where there are several (default: the bank's)")
	for _, required := range []string{"stage", "user"} {
		if err := c.MarkFlagRequired(required); err != nil {
			panic(err) // no such flag
		}
	}
	return c
}

// held is what the app holds when somebody has signed in.
type held struct {
	header      http.Header // that is the same in all of its calls
	signedIn    protect.SignedIn
	attestation string // of the client, for the server that issues its tokens; empty: there is none
}

// write writes it as JSON.
func (h held) write(w io.Writer) error {
	shown := struct {
		Fields       map[string]string `json:"fields"` // of a request, by name
		RefreshToken string            `json:"refresh_token,omitempty"`
		Attestation  string            `json:"client_attestation,omitempty"`
	}{map[string]string{}, h.signedIn.Refresh, h.attestation}
	for name := range h.header {
		shown.Fields[name] = h.header.Get(name)
	}
	if err := json.NewEncoder(w).Encode(shown); err != nil {
		return fmt.Errorf("print what the app holds: %w", err)
	}
	return nil
}

// ownProof is what somebody has who takes the app's place; empty: what the app has.
type ownProof struct {
	secret, integrity string
	phone             phone
}

// heldByApp signs a person in as the app does, and returns what it holds from then on.
func heldByApp(ctx context.Context, folder *deployment.Folder, stage catalog.Stage, who person.Person, own ownProof) (h held, err error) {
	caller, roots, err := shippedCaller(folder, stage)
	if err != nil {
		return h, err
	}
	caller, err = caller.As(func(as *protect.Identity) { as.Secret, as.Integrity = cmp.Or(own.secret, as.Secret), own.integrity })
	if err != nil {
		return h, err
	}
	client := clientOf(folder, caller, roots)
	defer client.CloseIdleConnections()
	if stage.Call.Devices == catalog.RegisteredDevices {
		identifier := rand.Text()
		answer, err := answered(ctx, client, caller, protect.RegisterCall(identifier))
		if err != nil {
			return h, err
		}
		device, err := protect.ReadInstallation(answer, identifier)
		if err != nil {
			return h, err
		}
		if caller, err = caller.As(func(as *protect.Identity) { as.Device = device }); err != nil {
			return h, err
		}
	}
	if stage.Call.AppProof == catalog.IntegrityToken && own.integrity == "" {
		app, err := own.phone.open(folder, stage)
		if err != nil {
			return h, err
		}
		defer app.Close()
		if caller, err = app.Equip(caller); err != nil {
			return h, err
		}
		attested, err := app.Attest(ctx, client, caller)
		if err != nil {
			return h, err
		}
		if caller, err = caller.As(attested.Show); err != nil {
			return h, err
		}
		h.attestation = attested.Client
	}
	if h.signedIn, err = signIn(ctx, caller, client, who); err != nil {
		return h, err
	}
	if caller, err = caller.As(h.signedIn.Show); err != nil {
		return h, err
	}
	dressed, err := caller.Dress(protect.Call{Path: "/v1/accounts"})
	if err != nil {
		return h, err
	}
	h.header = dressed.Header
	h.header.Del("User-Agent")
	// The command stages sign makes the fields that are good for one call.
	for _, field := range []string{dpop.Field, httpsig.FieldInput, httpsig.FieldSignature} {
		h.header.Del(field)
	}
	if stage.Call.AppProof == catalog.Hawk {
		h.header.Del(stage.Call.AppProofField())
	}
	return h, nil
}

// clientOf reaches the servers of a deployment as a caller wants it.
func clientOf(folder *deployment.Folder, caller *protect.Caller, roots []byte) *http.Client {
	return &http.Client{
		Timeout:   time.Minute,
		Transport: &http.Transport{TLSClientConfig: caller.TLS(roots), DialContext: folder.Addresses.Routes().Dial(nil)},
	}
}

// signIn signs a person in, with a call or on the page of the authorization server.
func signIn(ctx context.Context, caller *protect.Caller, client *http.Client, who person.Person) (protect.SignedIn, error) {
	if caller.Policy().Grant.InAgent() {
		server, err := caller.OAuth(deploy.RedirectURI())
		if err != nil {
			return protect.SignedIn{}, err
		}
		return who.SignInTo(ctx, server, client, deploy.RedirectURI())
	}
	call, err := caller.SignInCall(who.Name, who.Password)
	if err != nil {
		return protect.SignedIn{}, err
	}
	answer, err := answered(ctx, client, caller, call)
	if err != nil {
		return protect.SignedIn{}, err
	}
	return caller.ReadSignIn(who.Name, answer)
}

// shippedCaller calls with what the bank's app is shipped with.
func shippedCaller(folder *deployment.Folder, stage catalog.Stage) (caller *protect.Caller, roots []byte, err error) {
	settings, err := deploy.Shipped(folder.Path(deploy.PackageName(stage.Package.Release)))
	if err != nil {
		return nil, nil, err
	}
	identity := protect.Identity{
		UserAgent: fmt.Sprintf("HarbourBank/%d.0", stage.Package.Release), ClientID: settings.ClientID, Secret: settings.Secret(stage.Call),
	}
	if settings.ClientCertificate != "" {
		certificate, err := clientcert.Load([]byte(settings.ClientCertificate), []byte(settings.ClientKey))
		if err != nil {
			return nil, nil, err
		}
		identity.Certificate = &certificate
	}
	if roots, err = folder.Read("roots.pem"); err != nil {
		return nil, nil, err
	}
	api := protect.API{
		Stage: stage.Slug, Plain: settings.APIPlain, TLS: settings.APITLS, Auth: settings.AuthServer,
		Attestation: settings.Attestation, Mediator: settings.Mediator, Lite: settings.Lite, Answers: settings.AnswerKeys,
	}
	caller, err = protect.New(stage.Call, api, identity)
	return caller, roots, err
}

// answered makes a call, and returns what the answer says.
func answered(ctx context.Context, client *http.Client, caller *protect.Caller, call protect.Call) ([]byte, error) {
	dressed, err := caller.Dress(call)
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
		return nil, fmt.Errorf("%s %s: the API answers %s %s", request.Method, call.Path, response.Status, answer.Body)
	}
	return answer.Body, nil
}
