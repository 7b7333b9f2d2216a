package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/sealed"
	"keyladder/stages/protect"
)

// signer says whose secret signs, and where it is asked for.
type signer struct {
	dir string
	key string

	given string // a secret that is used instead of the key's; empty: none
}

func (s *signer) flags(c *cobra.Command) {
	dataFlag(c, &s.dir)
	c.Flags().StringVar(&s.key, "key", "harbour-mobile", "the app's key")
	c.Flags().StringVar(&s.given, "secret", "", "a secret to use in place of the one that the key has")
}

// secret asks the server that owns the stage's clients, as secrets can be rotated.
func (s *signer) secret(c *cobra.Command, stage catalog.Stage) (string, *deployment.Folder, error) {
	folder, err := deployment.Open(s.dir, deployment.Admin)
	if err != nil {
		return "", nil, err
	}
	owner := deployment.Resource
	if stage.Auth.Issuer.Separate() {
		owner = deployment.Auth
	}
	server, err := manage.NewClient(folder, owner)
	if err != nil {
		return "", nil, err
	}
	if s.given != "" {
		return s.given, folder, nil
	}
	secret, err := manage.Get[manage.Secret](c.Context(), server, "/keys/"+url.PathEscape(s.key)+"/secret")
	return secret.Secret, folder, err
}

func signCommand() *cobra.Command {
	var s signer
	var slug, method, contentType, user, nonce string
	var phone phone
	var fields, data []string
	var seal bool
	c := &cobra.Command{
		Use:   "sign URL",
		Short: "Sign a request as an app does, and print it as options for curl",
		Long: `Sign a request as an app does, and print it as options for curl:

  go run ./stages sign URL | curl -K -

What curl is to send besides, it has to be told itself. From the stage user-session on the
signature covers who the user and the device are, so those fields are for sign:

  go run ./stages sign -H @- URL <device.txt | curl -K -

Where apps sign with a secret, it is asked for at the running deployment, with the admin's
certificate. Where they sign with a key, it is in the secure hardware of a phone, which stages
token keeps in a folder, and it is what the tokens of the fields are bound to:

  go run ./stages token --stage device-bound --user alice --phone my-phone > alice.txt
  go run ./stages sign --phone my-phone -H @- URL < alice.txt | curl -K -

There the request gets a proof of possession, or a signature. Proofs carry a nonce of the
server's, which sign asks for. Endpoints of the authorization server want a client attestation in
place of both tokens: stages token --json has it.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			target, err := url.Parse(args[0])
			if err != nil {
				return err
			}
			if slug == "" {
				slug, _, _ = strings.Cut(strings.TrimPrefix(target.Path, "/"), "/")
			}
			stage, err := builtStage(slug)
			if err != nil {
				return err
			}
			byPhone := stage.Call.Sender != catalog.AnySender
			if !byPhone && stage.Call.AppProof != catalog.Hawk {
				return fmt.Errorf("the stage %s does not sign requests", stage.Slug)
			}
			if seal && stage.Call.Bodies == catalog.PlainBodies {
				return fmt.Errorf("the stage %s does not encrypt bodies", stage.Slug)
			}
			if user != "" && stage.Call.UserProof != catalog.UserSession {
				return fmt.Errorf("nobody signs in with a password at the stage %s", stage.Slug)
			}
			if !byPhone && (phone.dir != "" || phone.madeUp || nonce != "") {
				return fmt.Errorf("the stage %s signs with a secret: leave out --phone and --nonce", stage.Slug)
			}
			call := protect.Call{
				Method: method, URL: target, Header: http.Header{}, Body: []byte(strings.Join(data, "&")), Media: contentType, Clear: !seal,
			}
			if method == "" {
				call.Method = usualMethod(call.Body)
			}
			if err := addFields(call.Header, fields, c.InOrStdin()); err != nil {
				return err
			}
			if user != "" {
				name, password, _ := strings.Cut(user, ":")
				call.SignIn = &protect.SignIn{User: name, Password: password}
			}
			var signed protect.Request
			if byPhone {
				folder, err := deployment.Open(s.dir, deployment.Phone)
				if err != nil {
					return err
				}
				signed, err = phoneSigner{folder, phone, nonce}.sign(c.Context(), stage, call)
				if err != nil {
					return err
				}
			} else if signed, err = s.sign(c, stage, call); err != nil {
				return err
			}
			_, err = io.WriteString(c.OutOrStdout(), curlOptions(signed))
			return err
		},
	}
	s.flags(c)
	c.Flags().StringVar(&slug, "stage", "", "the stage (default: as in the URL)")
	c.Flags().StringVarP(&method, "method", "X", "", "the method (default: GET, or POST with a body)")
	c.Flags().StringArrayVarP(&data, "body", "d", nil, "the body; several are joined with &, as curl does it")
	c.Flags().StringArrayVarP(&fields, "header", "H", nil, "a field `NAME: VALUE` to send; @- reads some from standard input, one a line")
	c.Flags().StringVarP(&user, "user", "u", "", "`NAME:PASSWORD` to sign in with")
	c.Flags().StringVar(&contentType, "content-type", "", "the body's media type (default: application/json, or that of forms at the endpoints of the authorization server)")
	c.Flags().BoolVar(&seal, "seal", false, "encrypt the body, as hidden-secrets wants it")
	phone.flags(c)
	c.Flags().StringVar(&nonce, "nonce", "", "the server's nonce for a proof of possession (default: the server is asked for one)")
	return c
}

// sign signs a request with the app's secret.
func (s *signer) sign(c *cobra.Command, stage catalog.Stage, call protect.Call) (protect.Request, error) {
	secret, folder, err := s.secret(c, stage)
	if err != nil {
		return protect.Request{}, err
	}
	// For the host and port of the settings, whatever name is used to reach the server.
	api := protect.API{
		Stage: stage.Slug, Plain: folder.Addresses.URL(deployment.PlainAPI), TLS: folder.Addresses.URL(deployment.API),
	}
	caller, err := protect.New(stage.Call, api, protect.Identity{ClientID: s.key, Secret: secret})
	if err != nil {
		return protect.Request{}, err
	}
	dressed, err := caller.Dress(call)
	if err != nil {
		return protect.Request{}, err
	}
	return dressed.Request, nil
}

// usualMethod is the one that curl takes by itself.
func usualMethod(body []byte) string {
	if len(body) > 0 {
		return http.MethodPost
	}
	return http.MethodGet
}

// addFields adds fields as curl's -H has them: `Name: value`, or @- for standard input.
func addFields(header http.Header, fields []string, in io.Reader) error {
	for _, field := range fields {
		lines := field
		if field == "@-" {
			data, err := io.ReadAll(in)
			if err != nil {
				return err
			}
			lines = string(data)
		}
		for line := range strings.Lines(lines) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			if !ok {
				return errors.New("a field of -H has no colon")
			}
			header.Add(name, strings.TrimSpace(value))
		}
	}
	return nil
}

// curlQuoted escapes a value between quotes in a file of curl's options.
var curlQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\v", `\v`)

// curlOptions is a request as curl reads it with -K. The URL is signed as it is, so curl is told
// to take it so: without reading [1-3] and {a,b} as lists, or /../ as a way up.
func curlOptions(req protect.Request) string {
	var text strings.Builder
	option := func(name, value string) { fmt.Fprintf(&text, "%s = \"%s\"\n", name, curlQuoted.Replace(value)) }
	option("url", req.URL.String())
	text.WriteString("globoff\npath-as-is\n")
	switch req.Method {
	case usualMethod(req.Body):
	case http.MethodHead: // for an answer without body
		text.WriteString("head\n")
	default:
		option("request", req.Method)
	}
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		for _, value := range req.Header[name] {
			option("header", name+": "+value)
		}
	}
	if len(req.Body) > 0 {
		option("data-raw", string(req.Body))
	}
	return text.String()
}

func openCommand() *cobra.Command {
	var s signer
	c := &cobra.Command{
		Use:   "open [FILE]",
		Short: "Decrypt the body of a response, as hidden-secrets sends it (default: standard input)",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in := c.InOrStdin()
			if len(args) > 0 {
				file, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer file.Close()
				in = file
			}
			body, err := io.ReadAll(io.LimitReader(in, sealed.MaxLength+1))
			if err != nil {
				return err
			}
			secret, _, err := s.secret(c, catalog.Stage{})
			if err != nil {
				return err
			}
			keys, err := sealed.DeriveKeys(secret)
			if err != nil {
				return err
			}
			content, _, err := keys.Responses.Open([]byte(strings.TrimSpace(string(body))))
			if err != nil {
				return err
			}
			_, err = c.OutOrStdout().Write(append(content, '\n'))
			return err
		},
	}
	s.flags(c)
	return c
}
