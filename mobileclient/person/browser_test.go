package person_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"keyladder/mobileclient/person"
)

const leadsBack = "com.example.app:/callback"

// pagesOf is a server with a page to sign in on and one that asks; wrong passwords show the
// first again.
func pagesOf(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	signIn := func(w http.ResponseWriter, words string) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<p>%s</p><form method="post" action="/sign-in"><input type="hidden" name="id" value="7"><input name="name"><input name="password" type="password"><button>Sign in</button><button name="decision" value="deny">Cancel</button></form>`, words)
	}
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, _ *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "browser", Value: "1"})
		signIn(w, "")
	})
	mux.HandleFunc("POST /sign-in", func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("browser"); err != nil || r.FormValue("id") != "7" || r.FormValue("decision") != "" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		if r.FormValue("name") != "alice" || r.FormValue("password") != "right" {
			signIn(w, "Wrong.")
			return
		}
		http.Redirect(w, r, "/consent", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /consent", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<form method="post" action="/consent"><button name="decision" value="allow">Allow</button><button name="decision" value="deny">No</button></form>`)
	})
	mux.HandleFunc("POST /consent", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", leadsBack+"?code="+r.FormValue("decision")+"#end")
		w.WriteHeader(http.StatusSeeOther)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestAuthorize(t *testing.T) {
	t.Parallel()
	server := pagesOf(t)
	link, err := person.Person{Name: "alice", Password: "right"}.Authorize(t.Context(), nil, server.URL+"/authorize", leadsBack)
	if err != nil || link != leadsBack+"?code=allow#end" {
		t.Errorf("%q, %v", link, err)
	}
	_, err = person.Person{Name: "alice", Password: "wrong"}.Authorize(t.Context(), nil, server.URL+"/authorize", leadsBack)
	var refused *person.ErrRefused
	if !errors.As(err, &refused) || !strings.Contains(refused.Page.Text, "Wrong.") {
		t.Errorf("a wrong password: %v", err)
	}
}

// TestChooseProvider: a page that has a button for each provider is left by the person's own, by its
// name or its title, and by the bank's where they have none.
func TestChooseProvider(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		for _, provider := range [][2]string{{"lite", "Lite ID"}, {"bank", "Harbour Bank"}} {
			fmt.Fprintf(w, `<form method="post" action="/provider"><input type="hidden" name="interaction" value="7"><button name="provider" value="%s">%s</button></form>`, provider[0], provider[1])
		}
	})
	mux.HandleFunc("POST /provider", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("interaction") != "7" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		w.Header().Set("Location", leadsBack+"?provider="+r.FormValue("provider"))
		w.WriteHeader(http.StatusSeeOther)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for wanted, chosen := range map[string]string{"": "bank", "bank": "bank", "lite": "lite", "lite id": "lite", "harbour bank": "bank"} {
		link, err := person.Person{Name: "alice", Password: "right", Provider: wanted}.Authorize(t.Context(), nil, server.URL+"/authorize", leadsBack)
		if err != nil || link != leadsBack+"?provider="+chosen {
			t.Errorf("%q: %q, %v", wanted, link, err)
		}
	}
	_, err := person.Person{Name: "alice", Provider: "another"}.Authorize(t.Context(), nil, server.URL+"/authorize", leadsBack)
	var refused *person.ErrRefused
	if !errors.As(err, &refused) {
		t.Errorf("a provider that is not there: %v", err)
	}
}
