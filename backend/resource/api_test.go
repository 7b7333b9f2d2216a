package resource_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyladder/backend/resource"
	"keyladder/internal/deployment"
	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

func order(amount, reference string) string {
	return fmt.Sprintf(`{"from":"HB-1001","to":"HB-2001","amount":%s,"currency":"EUR","reference":%q}`, amount, reference)
}

// ownStages are those at which this server knows clients and users itself. At the others it
// serves nobody before it has heard of the authorization server's: see issued_test.go.
func ownStages() catalog.Set {
	return slices.DeleteFunc(catalog.All().Built(), func(s catalog.Stage) bool { return s.Auth.Issuer.Separate() })
}

func TestAPI(t *testing.T) {
	t.Parallel()
	for _, stage := range ownStages() {
		t.Run(stage.Slug, func(t *testing.T) {
			t.Parallel()
			site := newSite(t, deployment.Addresses{})
			server := newServer(t, site, nil)
			call := func(app, method, path, body string, want int) string {
				t.Helper()
				answer := do(server, site.call(app, stage.Slug, method, path, body))
				if answer.Code != want {
					t.Fatalf("%s %s by %s: %d %s, want %d", method, path, app, answer.Code, answer.Body, want)
				}
				if answer.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s %s may be cached", method, path)
				}
				return answer.Body.String()
			}
			if rates := call(mobile, "GET", "/v1/rates", "", 200); !strings.Contains(rates, `"base":"EUR"`) {
				t.Errorf("rates: %s", rates)
			}
			everybodys, others := 6, 200
			if stage.Call.UserProof != catalog.NoUser {
				everybodys, others = 2, 404 // alice's alone
			}
			if accounts := call(kiosk, "GET", "/v1/accounts", "", 200); strings.Count(accounts, `"id":"HB-`) != everybodys {
				t.Errorf("accounts: %s", accounts)
			}
			if accounts := call(ops, "GET", "/v1/accounts", "", 200); strings.Count(accounts, `"id":"HB-`) != 6 {
				t.Errorf("accounts that staff see: %s", accounts)
			}
			want := `{"id":"HB-1001","owner":"alice","name":"Current","balance":500000000,"currency":"EUR","frozen":false}`
			if account := strings.TrimSpace(call(mobile, "GET", "/v1/accounts/HB-1001", "", 200)); account != want {
				t.Errorf("account: %s", account)
			}
			call(mobile, "GET", "/v1/accounts/HB-0", "", 404)
			if history := strings.TrimSpace(call(mobile, "GET", "/v1/accounts/HB-1001/transfers", "", 200)); history != `{"transfers":[]}` {
				t.Errorf("history: %s", history)
			}

			answer := do(server, site.call(mobile, stage.Slug, "POST", "/v1/transfers", order("100", "Lunch")))
			var booked struct {
				ID        int64
				From, To  string
				Amount    int64
				Reference string
				Currency  string
				BookedAt  string `json:"booked_at"`
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &booked); err != nil || answer.Code != http.StatusCreated {
				t.Fatalf("transfer: %d %s", answer.Code, answer.Body)
			}
			if booked.From != "HB-1001" || booked.To != "HB-2001" || booked.Amount != 100 || booked.Currency != "EUR" || booked.Reference != "Lunch" || booked.BookedAt == "" {
				t.Errorf("transfer: %s", answer.Body)
			}
			if location := answer.Header().Get("Location"); location != fmt.Sprintf("/%s/v1/accounts/HB-1001/transfers#%d", stage.Slug, booked.ID) {
				t.Errorf("Location: %s", location)
			}
			call(mobile, "GET", "/v1/accounts/HB-2001", "", others)
			if history := call(mobile, "GET", "/v1/accounts/HB-2001/transfers", "", others); others == 200 && !strings.Contains(history, "Lunch") {
				t.Errorf("history of the payee: %s", history)
			}
			if history := call(ops, "GET", "/v1/accounts/HB-2001/transfers", "", 200); !strings.Contains(history, "Lunch") {
				t.Errorf("history of the payee, for staff: %s", history)
			}
			if status := map[int]int{200: 201, 404: 403}[others]; true {
				call(mobile, "POST", "/v1/transfers", strings.NewReplacer("HB-2001", "HB-1001", "HB-1001", "HB-2001").Replace(order("1", "")), status)
			}

			call(mobile, "POST", "/v1/accounts/HB-1001/freeze", `{"frozen":true}`, 403)
			call(kiosk, "POST", "/v1/transfers", order("100", ""), 403)
			call(ops, "POST", "/v1/transfers", order("100", ""), 403)
			call(ops, "POST", "/v1/accounts/HB-0/freeze", `{"frozen":true}`, 404)
			if frozen := call(ops, "POST", "/v1/accounts/HB-1001/freeze", `{"frozen":true}`, 200); !strings.Contains(frozen, `"frozen":true`) {
				t.Errorf("frozen: %s", frozen)
			}
			call(mobile, "POST", "/v1/transfers", order("100", ""), 422)
			call(ops, "POST", "/v1/accounts/HB-1001/freeze", `{"frozen":false}`, 200)
			call(mobile, "POST", "/v1/transfers", order("100", ""), 201)
		})
	}
}

// bodies are transfer orders that must be refused.
var bodies = []struct {
	name, body string
	status     int
}{
	{"empty", "", 400},
	{"spaces", "  ", 400},
	{"not JSON", "from=HB-1001", 400},
	{"not closed", `{"from":"HB-1001"`, 400},
	{"list", "[]", 400},
	{"null", "null", 400},
	{"two objects", order("1", "") + "{}", 400},
	{"something behind it", order("1", "") + "x", 400},
	{"comma at the end", strings.TrimSuffix(order("1", ""), "}") + ",}", 400},
	{"member twice", strings.TrimSuffix(order("1", ""), "}") + `,"to":"HB-3001"}`, 400},
	{"member twice, one escaped", strings.TrimSuffix(order("1", ""), "}") + `,"t\u006f":"HB-3001"}`, 400},
	{"unknown member twice", `{"x":1,"x":1}`, 400},
	{"comment", "/* */" + order("1", ""), 400},
	{"not UTF-8", order("1", "")[:20] + "\xff" + order("1", "")[20:], 400},
	{"byte order mark", "\ufeff" + order("1", ""), 400},
	{"UTF-16", "{\x00}\x00", 400},
	{"no members", "{}", 422},
	{"member missing", `{"from":"HB-1001","to":"HB-2001","amount":1,"currency":"EUR"}`, 422},
	{"unknown member", strings.TrimSuffix(order("1", ""), "}") + `,"app":"harbour-ops"}`, 422},
	{"member in capitals", strings.Replace(order("1", ""), `"to"`, `"To"`, 1), 422},
	{"both cases", strings.TrimSuffix(order("1", ""), "}") + `,"TO":"HB-3001"}`, 422},
	{"amount is text", order(`"1"`, ""), 422},
	{"amount is null", order("null", ""), 422},
	{"amount is a list", order("[1]", ""), 422},
	{"amount is an object", order("{}", ""), 422},
	{"amount with a fraction", order("1.5", ""), 422},
	{"amount with an empty fraction", order("1.0", ""), 422},
	{"amount with an exponent", order("1e3", ""), 422},
	{"amount past int64", order("9223372036854775808", ""), 422},
	{"amount past everything", order("1"+strings.Repeat("0", 1000), ""), 422},
	{"amount with a plus", order("+1", ""), 400},
	{"amount in hexadecimal", order("0x1", ""), 400},
	{"amount with a leading zero", order("01", ""), 400},
	{"amount is NaN", order("NaN", ""), 400},
	{"amount negative", order("-1", ""), 422},
	{"amount zero", order("0", ""), 422},
	{"amount minus zero", order("-0", ""), 422},
	{"amount of everything", order("9223372036854775807", ""), 422},
	{"payee is a number", strings.Replace(order("1", ""), `"HB-2001"`, "2001", 1), 422},
	{"unknown payee", strings.Replace(order("1", ""), "HB-2001", "HB-0", 1), 422},
	{"same account", strings.Replace(order("1", ""), "HB-2001", "HB-1001", 1), 422},
	{"other currency", strings.Replace(order("1", ""), "EUR", "eur", 1), 422},
	{"reference is null", strings.Replace(order("1", ""), `"reference":""`, `"reference":null`, 1), 422},
	{"reference too long", order("1", strings.Repeat("x", 141)), 422},
	{"reference with a control character", strings.Replace(order("1", ""), `"reference":""`, `"reference":"a\u0000"`, 1), 422},
	{"reference with half a surrogate", strings.Replace(order("1", ""), `"reference":""`, `"reference":"\ud800"`, 1), 422},
	{"byte order mark", "\ufeff" + order("1", ""), 400},
	{"deep", `{"from":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}", 400},
	{"too large", order("1", strings.Repeat("x", 64<<10)), 413},
}

func TestTransferBodies(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, nil)
	kinds := map[int]string{400: "bad-request", 413: "too-large", 422: "unprocessable"}
	for _, test := range bodies {
		answer := do(server, site.call(mobile, "app-id", "POST", "/v1/transfers", test.body))
		if answer.Code != test.status || kindOf(answer) != kinds[test.status] {
			t.Errorf("%s: %d %s, want %d", test.name, answer.Code, answer.Body, test.status)
			continue
		}
		if p := problem.Parse(answer.Header().Get("Content-Type"), answer.Body.Bytes()); p.Detail == "" {
			t.Errorf("%s: no detail", test.name)
		}
	}
	if history := do(server, site.call(mobile, "app-id", "GET", "/v1/accounts/HB-1001/transfers", "")); !strings.Contains(history.Body.String(), `[]`) {
		t.Errorf("something was booked: %s", history.Body)
	}
	for name, body := range map[string]string{
		"other order":  `{"reference":"x","currency":"EUR","amount":1,"to":"HB-2001","from":"HB-1001"}`,
		"white space":  "\r\n\t " + strings.ReplaceAll(order("1", "x"), ",", " ,\n") + "\n",
		"escaped name": strings.Replace(order("1", "x"), `"to"`, `"t\u006f"`, 1),
		"longest":      order("1", strings.Repeat("ö", 140)),
	} {
		if answer := do(server, site.call(mobile, "app-id", "POST", "/v1/transfers", body)); answer.Code != http.StatusCreated {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

func TestFreezeBodies(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, nil)
	for body, want := range map[string]int{
		`{"frozen":true}`: 200, `{"frozen":"true"}`: 422, `{"frozen":1}`: 422, `{"frozen":null}`: 422, `{}`: 422, ``: 400,
		`{"frozen":true,"frozen":false}`: 400, `{"frozen":true,"id":"HB-1"}`: 422,
	} {
		if answer := do(server, site.call(ops, "app-id", "POST", "/v1/accounts/HB-1001/freeze", body)); answer.Code != want {
			t.Errorf("%s: %d %s, want %d", body, answer.Code, answer.Body, want)
		}
	}
}

func FuzzDecodeOrder(f *testing.F) {
	for _, test := range bodies {
		if len(test.body) < 1000 {
			f.Add([]byte(test.body))
		}
	}
	f.Add([]byte(order("1", "x")))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := resource.DecodeOrder(body)
		if err != nil {
			if p := problem.From(err, func(err error) { t.Errorf("not a problem: %v", err) }); p.Status != 400 && p.Status != 422 {
				t.Errorf("status %d", p.Status)
			}
			return
		}
		// What is taken, the standard library reads in the same way.
		var want struct {
			From, To, Currency, Reference string
			Amount                        int64
		}
		if err := json.Unmarshal(body, &want); err != nil {
			t.Fatalf("taken, but not JSON: %v", err)
		}
		if diff := cmp.Diff([]any{want.From, want.To, want.Currency, want.Reference, want.Amount},
			[]any{got.Payer, got.Payee, got.Currency, got.Reference, got.Amount}); diff != "" {
			t.Error(diff)
		}
	})
}

// TestEveryRouteUnderEveryStage walks what Echo has, so that a route which was added
// past the guard is found.
func TestEveryRouteUnderEveryStage(t *testing.T) {
	t.Parallel()
	site := newSite(t, deployment.Addresses{})
	server := newServer(t, site, nil)
	slugs := []string{"bogus", ""}
	for _, stage := range catalog.All() {
		slugs = append(slugs, stage.Slug)
	}
	walked := map[string]bool{}
	for _, route := range server.Routes() {
		path, ok := strings.CutPrefix(route.Path, "/:stage")
		if !ok {
			t.Errorf("%s %s is under no stage", route.Method, route.Path)
			continue
		}
		path = strings.ReplaceAll(path, ":id", "HB-1001")
		name := route.Method + " " + path
		walked[name] = true
		app, body := mobile, ""
		there := func(catalog.Policies) bool { return true }
		switch {
		case strings.HasSuffix(path, "/freeze"):
			app, body = ops, `{"frozen":false}`
		case path == "/v1/transfers":
			body = order("1", "")
		case path == "/v1/devices":
			body = `{"identifier":"another"}`
			there = func(p catalog.Policies) bool { return p.Call.Devices == catalog.RegisteredDevices }
		case path == "/v1/session":
			there = func(p catalog.Policies) bool { return p.Call.UserProof == catalog.UserSession }
		case path == "/v1/token", path == "/v1/revoke":
			body = "grant_type=password&username=alice&password=correct+horse&token=x&client_id=" + mobile
			there = func(p catalog.Policies) bool { return p.Auth.Issuer == catalog.ResourceServer }
		case strings.HasPrefix(path, "/partner/"):
			app = books
			there = func(p catalog.Policies) bool { return p.API.Partners == catalog.PartnersByCertificate }
		}
		for _, slug := range slugs {
			stage, known := catalog.All().Lookup(slug)
			if stage.Auth.Issuer.Separate() {
				unheard := httptest.NewRecorder()
				server.Handler().ServeHTTP(unheard, httptest.NewRequest(route.Method, "/"+slug+path, strings.NewReader(body)))
				if unheard.Code < 400 {
					t.Errorf("%s /%s%s: %d, though nothing was heard of the authorization server", route.Method, slug, path, unheard.Code)
				}
				continue
			}
			good := do(server, site.call(app, slug, route.Method, path, body))
			nobody := site.call("", slug, route.Method, path, body)
			nobody.Header.Del("Authorization")
			nobody.Header.Del(catalog.AppAuthorization)
			stranger := do(server, nobody)
			invented := do(server, site.call("invented", slug, route.Method, path, body))
			name := route.Method + " /" + slug + path
			switch {
			case !known:
				if good.Code != 404 || stranger.Code != 404 || invented.Code != 404 {
					t.Errorf("%s: %d, %d, %d; want 404", name, good.Code, stranger.Code, invented.Code)
				}
			case !stage.Built:
				if good.Code != 501 || stranger.Code != 501 || invented.Code != 501 {
					t.Errorf("%s: %d, %d, %d; want 501", name, good.Code, stranger.Code, invented.Code)
				}
			case isForm(path): // any client may come here; see TestTokenEndpoint
				if there(stage.Policies) && (good.Code != 200 || stranger.Code != 200) || !there(stage.Policies) && (good.Code != 404 || stranger.Code != 403) {
					t.Errorf("%s: %d %s, by a stranger %d", name, good.Code, good.Body, stranger.Code)
				}
			case app == books:
				want := 403
				if !there(stage.Policies) {
					want = 404
				}
				if (good.Code == 200) != there(stage.Policies) || good.Code != 200 && good.Code != want {
					t.Errorf("%s: %d %s", name, good.Code, good.Body)
				}
				if own := do(server, site.call(mobile, slug, route.Method, path, body)); own.Code != want {
					t.Errorf("%s by an app: %d", name, own.Code)
				}
			default:
				if there(stage.Policies) && good.Code/100 != 2 || !there(stage.Policies) && good.Code != 404 {
					t.Errorf("%s: %d %s", name, good.Code, good.Body)
				}
				site.forget()                                     // it may have signed out
				if stranger.Code != 403 || invented.Code != 403 { // they have no app's user agent
					t.Errorf("%s by a stranger: %d, %d", name, stranger.Code, invented.Code)
				}
				for _, key := range []string{"", "invented"} {
					r := site.call(app, slug, route.Method, path, body)
					r.Header.Del("Authorization")
					r.Header.Del(catalog.AppAuthorization)
					if key != "" {
						r.Header.Set(stage.Call.AppProofField(), "key "+key)
					}
					if answer := do(server, r); answer.Code != 401 {
						t.Errorf("%s with the key %q: %d", name, key, answer.Code)
					}
				}
			}
		}
	}
	if len(walked) != 17 { // twelve routes, five of them with HEAD
		t.Errorf("%d routes were walked: %v", len(walked), walked)
	}
}
