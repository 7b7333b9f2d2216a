package deploy

import (
	"fmt"

	"keyladder/internal/deployment"
	"keyladder/internal/manage"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// Apps and partners, and the scopes that they are registered with.
var apps = []manage.App{
	{ID: "harbour-mobile", Name: "Harbour Bank for phones", UserAgent: "HarbourBank/", Scopes: []string{"rates:read", "accounts:read", "transfers:write"}, Tier: "premium"},
	{ID: "harbour-ops", Name: "Harbour Bank operations", UserAgent: "HarbourOps/", Scopes: []string{"rates:read", "accounts:read", "accounts:freeze"}, PerSecond: 2, Burst: 20}, // a few clerks
	{ID: "harbour-kiosk", Name: "Kiosk in the branch", UserAgent: "HarbourKiosk/", Scopes: []string{"rates:read", "accounts:read"}, Tier: "basic"},
	{ID: "quayside-books", Kind: manage.Partner, Name: "Quayside Books, web shop", UserAgent: "QuaysideBooks/", Scopes: []string{"settlements:read"}},
}

// clientsOfOAuth are those at the authorization server: the bank's apps, with where their users
// come back to, and two for whoever tries OAuth with a program of their own.
func clientsOfOAuth(stages catalog.Set) []manage.App {
	var all []manage.App
	for _, app := range apps {
		if app.Kind == manage.Partner {
			continue
		}
		for _, product := range products {
			if product.clientID == app.ID {
				app.RedirectURIs = []string{product.redirectURI()}
				app.ServersKey = app.ID + "-servers"
			}
		}
		all = append(all, app)
	}
	scopes := []string{"rates:read", "accounts:read", "transfers:write"}
	return append(all,
		manage.App{
			ID: "workshop-native", Name: "A program on your machine", UserAgent: "Workshop/", Scopes: scopes, Tier: "standard",
			RedirectURIs: []string{loopbackRedirect}, Public: true,
		},
		manage.App{
			ID: "workshop-web", Name: "A web server on your machine", UserAgent: "Workshop/", Scopes: scopes, Tier: "standard",
			RedirectURIs: []string{loopbackRedirect},
		},
		manage.App{
			ID: mediatorClient, Name: "The bank's mediator", UserAgent: "HarbourMediator/", Scopes: append(scopes, "accounts:freeze"), Tier: "premium",
			RedirectURIs: callbacks(stages, "bank"),
		})
}

// callbacks are where a provider sends users back to, at the stages where the mediator asks it.
func callbacks(stages catalog.Set, provider string) []string {
	all := []string{}
	for _, stage := range stages {
		if stage.Call.Providers == catalog.ChosenAtMediator {
			all = append(all, "{"+string(deployment.MediatorService)+"}/"+stage.Slug+"/callback/"+provider)
		}
	}
	return all
}

// loopbackRedirect is where programs on a desktop listen, at any port (RFC 8252, section 7.3).
const loopbackRedirect = "http://127.0.0.1/callback"

// The people who sign in, where there are users; staff work for the bank.
var people = []User{{Name: "alice"}, {Name: "bob"}, {Name: "mallory"}, {Name: "carol", Staff: true}}

// User is an entry of the resource server's users.json.
type User struct {
	Name         string `json:"name"`
	PasswordHash string `json:"password_hash"` // Argon2id, in PHC string format
	Staff        bool   `json:"staff"`
}

// A product is one of the bank's apps, as a package.
type product struct {
	file     string // without the release
	clientID string
	manifest release.Manifest
}

var products = []product{
	{"harbour-bank", "harbour-mobile", release.Manifest{Name: "com.harbourbank.app", Label: "Harbour Bank", Schemes: []string{AppScheme}}},
	{"harbour-ops", "harbour-ops", release.Manifest{Name: "com.harbourbank.ops", Label: "Harbour Bank operations", Schemes: []string{"com.harbourbank.ops"}}},
}

// AppScheme is the URI scheme that the customers' app claims.
const AppScheme = "com.harbourbank.app"

// redirectURI is where the app's users come back to: a scheme of its own (RFC 8252, section 7.1).
func (p product) redirectURI() string { return protect.RedirectURI(p.manifest.Schemes[0]) }

// RedirectURI is where users of the bank's app come back to.
func RedirectURI() string { return products[0].redirectURI() }

// RedirectURIOf is the same of another of the bank's apps, by its client ID; empty: there is none.
func RedirectURIOf(clientID string) string {
	for _, product := range products {
		if product.clientID == clientID {
			return product.redirectURI()
		}
	}
	return ""
}

// PackageName is the file name of a release of the bank's app.
func PackageName(number int) string { return products[0].fileName(number) }

func (p product) fileName(number int) string { return fmt.Sprintf("%s-%d.pkg", p.file, number) }
