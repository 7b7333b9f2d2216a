package lab_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"golang.org/x/oauth2"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/internal/pki"
	"keyladder/internal/testenv"
	"keyladder/mobileclient/person"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
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
// before. Where the server binds codes to a verifier they find that out, too, and are refused without.
func TestOAuthFromJavaScript(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	b := startForStrangers(t)
	for _, library := range []string{"openid-client", "oauth4webapi"} {
		for _, slug := range []string{"code-grant", "refresh", "pkce-s256"} {
			stage, built := catalog.All().Built().Lookup(slug)
			if !built {
				continue
			}
			for _, client := range []string{"workshop-native", "workshop-web"} {
				t.Run(library+"/"+slug+"/"+client, func(t *testing.T) {
					t.Parallel()
					b.completes(t, library, stage, client)
				})
			}
		}
	}
}

func (b *bank) completes(t *testing.T, library string, stage catalog.Stage, client string) {
	t.Helper()
	secret, renews := b.secrets[client], stage.Auth.Grants == catalog.CodeAndRefresh
	argument, err := json.Marshal(map[string]any{"issuer": b.Addresses.Stage(deployment.AuthServer, stage.Slug), "id": client, "secret": secret, "renews": renews})
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
	if stage.Auth.PKCE != catalog.NoPKCE {
		want["unbound"], want["another"] = "invalid_grant", "invalid_grant"
	}
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
	testenv.InSequence(t)
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
	settings := map[string]any{"token": answer.Get("access_token"), "typ": "at+jwt", "issuer": issuer, "audience": b.Addresses.URL(deployment.API) + "/" + stage + "/v1"}
	for _, key := range known.Keys {
		if key.Stage == stage {
			settings["key"] = key.Secret
		}
	}
	b.verifies(t, settings)
}

// verifies has verifiers that others wrote look at a token of ours, and at ones that are not good.
func (b *bank) verifies(t *testing.T, settings map[string]any) {
	t.Helper()
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
	testenv.InSequence(t)
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

// program is a program of one's own, which listens at a free port of the loopback address.
type program struct {
	*httptest.Server
	came chan *http.Request // where a browser was led back to it
}

func newProgram(t *testing.T) *program {
	t.Helper()
	p := &program{came: make(chan *http.Request, 10)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" { // browsers ask for an icon, too
			p.came <- r
		}
		_, _ = io.WriteString(w, `<!doctype html><title>Back</title><p id="back">Go back to the program.</p>`)
	}))
	t.Cleanup(p.Close)
	return p
}

// toOpen is the address that a narrative has its readers open in a browser of their own.
var toOpen = regexp.MustCompile(`(?m)^https://localhost:8444/\S+/authorize\?\S+$`)

// TestNativeAppInABrowser: what the narratives say of a browser of one's own. A browser opens the
// address, a person signs in on the page, allows what it asks for, and the browser leads back to
// the program that listens (RFC 8252, section 7.3). The program exchanges what it gets, and calls
// the API, which serves those that can prove which client they are.
func TestNativeAppInABrowser(t *testing.T) {
	testenv.InSequence(t)
	t.Parallel()
	tab := testenv.BrowserFor(t, 5*time.Minute) // no admin signs in there
	b := &bank{Lab: start(t, lab.Options{})}
	b.json(t, deployment.Phone, "passwords.json", &b.people)
	b.json(t, deployment.Auth, "secrets.json", &b.secrets)
	// As somebody does who goes on where the browser warns. Another test has it trust the CA.
	order(&admin{t: t, tab: tab}, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	for _, stage := range catalog.All().Built() {
		if !stage.Call.Grant.InAgent() || stage.Call.AppProof == catalog.IntegrityToken { // no program of one's own is attested
			continue
		}
		printed := toOpen.FindString(stage.Narrative())
		for _, client := range []string{"workshop-native", "workshop-web"} {
			t.Run(stage.Slug+"/"+client, func(t *testing.T) {
				p := newProgram(t)
				address := strings.NewReplacer("https://localhost:8444", b.Addresses.URL(deployment.AuthServer),
					"http://127.0.0.1:8765", p.URL, "workshop-native", client).Replace(printed)
				if u, err := url.Parse(address); err != nil || u.Query().Get("redirect_uri") != p.URL+"/callback" {
					t.Fatalf("the narrative has its readers open %q, %v", printed, err)
				}
				answer := b.allow(t, &admin{t: t, tab: tab}, p, address)
				if got := answer.Get("state"); got != "mine" {
					t.Errorf("the state is %q", got)
				}
				token := answer.Get("access_token")
				if stage.Call.Grant != catalog.ImplicitGrant {
					token = b.redeem(t, stage, client, p.URL+"/callback", answer.Get("code"))
				}
				b.callsWith(t, stage, client, token)
			})
		}
	}
}

// allow has alice do in a browser what an address leads to, and is the answer that arrives.
func (b *bank) allow(t *testing.T, browser *admin, p *program, address string) url.Values {
	t.Helper()
	browser.do("open the page", chromedp.Navigate(address), seen(`[data-form=sign-in]`))
	asks := read[string](browser, "document.body.innerText")
	browser.do("sign in", chromedp.SendKeys("#name", "alice"), chromedp.SendKeys("#password", b.people["alice"]+"\r"), seen(`[data-form=consent]`))
	browser.do("allow it", click(`button[value=allow]`), seen("#back"))
	location := read[string](browser, "location.href")
	if want := "a program on this device, at " + strings.TrimPrefix(p.URL, "http://"); !strings.Contains(asks, want) {
		t.Errorf("the page does not say %q:\n%s", want, asks)
	}
	if len(p.came) != 1 {
		t.Fatalf("%s is open, and the browser came to the program %d times", location, len(p.came))
	}
	came := <-p.came
	if referer, cookies := came.Header.Get("Referer"), came.Header.Get("Cookie"); referer != "" || cookies != "" {
		t.Errorf("the program is told of %q, and gets the cookies %q", referer, cookies)
	}
	_, fragment, _ := strings.Cut(location, "#")
	if fragment != "" && came.URL.RawQuery != "" || strings.Contains(came.RequestURI, "access_token") {
		t.Errorf("the program gets %q, and the browser has %q", came.RequestURI, location)
	}
	answer, err := url.ParseQuery(cmp.Or(fragment, came.URL.RawQuery))
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// redeem exchanges a code as golang.org/x/oauth2 does it.
func (b *bank) redeem(t *testing.T, stage catalog.Stage, client, redirectURI, code string) (accessToken string) {
	t.Helper()
	config := oauth2.Config{
		ClientID: client, ClientSecret: b.secrets[client], RedirectURL: redirectURI,
		Endpoint: oauth2.Endpoint{TokenURL: b.Addresses.URL(deployment.AuthServer) + "/" + stage.Slug + "/token"},
	}
	token, err := config.Exchange(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: b.browser(t)}), code)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := token.RefreshToken != "", stage.Call.Grant == catalog.CodeAndRefresh; got != want {
		t.Errorf("a refresh token: %t, want %t", got, want)
	}
	return token.AccessToken
}

// callsWith calls the API with an access token, and with a MAC where the stage wants one and the
// client has a secret. A client that can't prove itself as the stage wants it is not served.
func (b *bank) callsWith(t *testing.T, stage catalog.Stage, client, token string) {
	t.Helper()
	api := protect.API{Stage: stage.Slug, TLS: b.Addresses.URL(deployment.API), Auth: b.Addresses.URL(deployment.AuthServer)}
	caller, err := protect.New(stage.Call, api, protect.Identity{UserAgent: "Workshop/1.0", ClientID: client, Secret: b.secrets[client], Token: token})
	if err != nil {
		t.Fatal(err)
	}
	dressed, err := caller.Dress(protect.Call{Path: "/v1/accounts"})
	if err != nil {
		t.Fatal(err)
	}
	request, err := dressed.HTTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	response, err := b.browser(t).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := http.StatusOK
	if stage.Call.AppProof == catalog.Hawk && b.secrets[client] == "" {
		want = http.StatusUnauthorized
	}
	if served := strings.Contains(string(body), `"owner":"alice"`); response.StatusCode != want || served != (want == http.StatusOK) {
		t.Errorf("the API answers %s, want %d\n%s", response.Status, want, body)
	}
}
