package lab_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/person"
	"keyladder/stages/workshop/lab"
	"keyladder/stages/workshop/lab/testbank"
)

// bank is a lab whose authorization server programs of others call.
type bank struct {
	*lab.Lab
	ca       string // a file
	people   person.People
	secrets  map[string]string // of clients, at the authorization server
	nodePath string
}

func startForStrangers(t *testing.T) *bank {
	t.Helper()
	b := &bank{
		nodePath: testenv.NPM(t), ca: filepath.Join(t.TempDir(), "ca.pem"),
		Lab: start(t, lab.Options{Settings: testbank.ManyCalls()}),
	}
	if err := os.WriteFile(b.ca, b.Roots, 0o600); err != nil {
		t.Fatal(err)
	}
	b.json(t, deployment.Phone, "passwords.json", &b.people)
	b.json(t, deployment.Auth, "secrets.json", &b.secrets)
	return b
}

func (b *bank) json(t *testing.T, role deployment.Role, name string, into any) {
	t.Helper()
	folder, err := deployment.Open(b.Dir, role)
	if err == nil {
		err = folder.JSON(name, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bank) node(t *testing.T, script string, arguments ...string) *exec.Cmd {
	t.Helper()
	node := exec.CommandContext(t.Context(), "node", append([]string{filepath.Join("testdata", script)}, arguments...)...)
	node.Env = append(os.Environ(), "NODE_PATH="+b.nodePath, "NODE_EXTRA_CA_CERTS="+b.ca)
	return node
}

// browser is how a person's browser gets to the servers.
func (b *bank) browser(t *testing.T) *http.Transport {
	t.Helper()
	roots, err := pki.Pool(b.Roots)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// authorize has alice sign in, and is where she is led to.
func (b *bank) authorize(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	alice := person.Person{Name: "alice", Password: b.people["alice"]}
	link, err := alice.Authorize(t.Context(), b.browser(t), address, u.Query().Get("redirect_uri"))
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// TestOAuthFromJavaScript: clients that others wrote find out what the server offers, get a code
// at a loopback address, redeem it, renew, revoke and introspect, and are refused what was used
// before.
func TestOAuthFromJavaScript(t *testing.T) {
	t.Parallel()
	b := startForStrangers(t)
	for _, library := range []string{"openid-client", "oauth4webapi"} {
		for _, stage := range []string{"code-grant", "refresh"} {
			for _, client := range []string{"workshop-native", "workshop-web"} {
				t.Run(library+"/"+stage+"/"+client, func(t *testing.T) {
					t.Parallel()
					b.completes(t, library, stage, client)
				})
			}
		}
	}
}

func (b *bank) completes(t *testing.T, library, stage, client string) {
	t.Helper()
	secret, renews := b.secrets[client], stage == "refresh"
	argument, err := json.Marshal(map[string]any{"issuer": b.Addresses.URL(deployment.AuthServer) + "/" + stage, "id": client, "secret": secret, "renews": renews})
	if err != nil {
		t.Fatal(err)
	}
	node := b.node(t, "oauth.js", library, string(argument))
	var complaint bytes.Buffer
	node.Stderr = &complaint
	out, err := node.StdoutPipe()
	if err == nil {
		err = node.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("%v\n%s", node.Wait(), &complaint)
	}
	answer, err := http.Get(b.authorize(t, lines.Text())) // the browser comes to the loopback address
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	lines.Scan()
	var got map[string]any
	if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v, %v\n%s", lines.Bytes(), err, node.Wait(), &complaint)
	}
	if err := node.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, &complaint)
	}
	active, revoked := "true", "false"
	if secret == "" { // only a client with a secret may ask (RFC 7662, section 2.1)
		active, revoked = "401 basic", "401 basic"
	}
	want := map[string]any{"scope": "rates:read accounts:read", "renewable": renews, "active": active, "revoked": revoked, "again": "invalid_grant"}
	if renews {
		maps.Copy(want, map[string]any{
			"unused": active, "used": revoked, "successor": active, "renewed": active, "reuse": "invalid_grant", "newest": "invalid_grant",
		})
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestTokensFromJavaScript: what others read tokens with accepts ours, and no forged ones. It knows
// the key, as every API does with HS256.
func TestTokensFromJavaScript(t *testing.T) {
	t.Parallel()
	b := startForStrangers(t)
	const stage = "implicit-grant"
	issuer := b.Addresses.URL(deployment.AuthServer) + "/" + stage
	link := b.authorize(t, issuer+"/authorize?"+url.Values{
		"response_type": {"token"}, "client_id": {"workshop-native"}, "redirect_uri": {"http://127.0.0.1:1/callback"}, "state": {"xyz"},
	}.Encode())
	_, fragment, _ := strings.Cut(link, "#")
	answer, err := url.ParseQuery(fragment)
	if err != nil || answer.Get("access_token") == "" {
		t.Fatalf("%s: %v", link, err)
	}
	resource, err := deployment.Open(b.Dir, deployment.Resource)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := manage.NewClient(resource, deployment.Auth)
	if err != nil {
		t.Fatal(err)
	}
	var known struct {
		Keys []struct {
			Stage  string
			Secret []byte
		}
	}
	if err := auth.Do(t.Context(), http.MethodGet, "/tokens/keys", nil, &known); err != nil {
		t.Fatal(err)
	}
	settings := map[string]any{"token": answer.Get("access_token"), "issuer": issuer, "audience": b.Addresses.URL(deployment.API) + "/" + stage + "/v1"}
	for _, key := range known.Keys {
		if key.Stage == stage {
			settings["key"] = key.Secret
		}
	}
	argument, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	output, err := b.node(t, "jwt.js", string(argument)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if got, want := strings.TrimSpace(string(output)), `{"jose":["ours","signed anew"],"express-jwt":["ours","signed anew"]}`; got != want {
		t.Errorf("accepted: %s, want %s", got, want)
	}
}

// TestPasswordGrantWithCurl: one command gets an access token, and a wrong password none.
func TestPasswordGrantWithCurl(t *testing.T) {
	t.Parallel()
	curl := testenv.Program(t, "curl")
	l := start(t, lab.Options{})
	b := &bank{Lab: l, ca: filepath.Join(t.TempDir(), "ca.pem")}
	if err := os.WriteFile(b.ca, l.Roots, 0o600); err != nil {
		t.Fatal(err)
	}
	b.json(t, deployment.Phone, "passwords.json", &b.people)
	for password, want := range map[string]string{b.people["alice"]: "200", "wrong": "400"} {
		output, err := exec.CommandContext(t.Context(), curl, "-sS", "--noproxy", "*", "--cacert", b.ca, "-A", "HarbourBank/1.0", "-w", "%{http_code}",
			"-d", "grant_type=password", "-d", "client_id=harbour-mobile", "-d", "username=alice", "--data-urlencode", "password="+password,
			l.Addresses.URL(deployment.API)+"/password-grant/v1/token").Output()
		if err != nil {
			t.Fatal(err)
		}
		body, status := output[:len(output)-3], string(output[len(output)-3:])
		var answer struct {
			Token string `json:"access_token"`
			Error string
		}
		if err := json.Unmarshal(body, &answer); err != nil || status != want || (answer.Token != "") != (want == "200") || (answer.Error == "invalid_grant") == (want == "200") {
			t.Errorf("%s: %v", output, err)
		}
	}
}
