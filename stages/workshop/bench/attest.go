package bench

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/release"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/protect"
	"keyladder/stages/workshop/deploy"
)

// Attestation is what an attestation costs: a session is opened and answered, by a client that has
// a package of that size.
type Attestation struct {
	Stage     string  `json:"stage"`
	PackageMB int     `json:"ownmb"`      // 10^6 bytes
	PerSecond float64 `json:"per_second"` // over some connections at once; the client's digest included
	TookUS    float64 `json:"took_us"`    // one alone; microseconds
}

// Mediator is what a mediator adds to a refresh.
type Mediator struct {
	Stage    string  `json:"stage"`
	DirectUS float64 `json:"direct_us"` // a refresh at the authorization server, one after the other; microseconds
	AddedUS  float64 `json:"added_us"`  // that it takes longer through the mediator
}

// attesting is how many are attested at once.
const attesting = 8

// sizes are those of the packages that are attested, in 10^6 bytes.
var sizes = []int{1, 10, 100}

// releaseOf is the release under which a package of a size is known.
func releaseOf(megabytes int) int { return 1000 + megabytes }

func packageOf(dir string, megabytes int) string {
	return filepath.Join(dir, string(deployment.Attestation), fmt.Sprintf("bench-%d.pkg", megabytes))
}

// publish puts packages of those sizes where the attestation service finds them.
func publish(dir string) error {
	offline, err := deployment.Open(dir, deployment.Offline)
	if err != nil {
		return err
	}
	developer, err := deploy.DeveloperKey(offline)
	if err != nil {
		return err
	}
	for _, size := range sizes {
		if err := publishOne(packageOf(dir, size), size, developer); err != nil {
			return fmt.Errorf("make a package of %d MB: %w", size, err)
		}
	}
	return nil
}

func publishOne(path string, megabytes int, developer ed25519.PrivateKey) error {
	noise := make([]byte, megabytes*1_000_000)
	mathrand.NewChaCha8([32]byte{byte(megabytes)}).Read(noise)
	manifest := release.Manifest{Name: deploy.AppScheme, Label: "A package to measure", Release: releaseOf(megabytes)}
	data, err := release.Assemble(noise, manifest, nil, developer)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// attestations measures, at each stage that has an attestation service, packages of all sizes.
func (o *Options) attestations(ctx context.Context, who identity, at addresses) (measured []Attestation, err error) {
	for _, stage := range o.Stages.Built() {
		if stage.Attestation.Level == catalog.NotAttested {
			continue
		}
		c, err := newCaller(stage, who, at)
		if err != nil {
			return nil, err
		}
		of, err := c.attestations(ctx, o.Dir, o.Duration)
		if err != nil {
			return nil, fmt.Errorf("measure attestations at %s: %w", stage.Slug, err)
		}
		measured = append(measured, of...)
	}
	return measured, nil
}

// attested is one that is attested again and again.
type attested struct {
	attester *protect.Attester
	evidence protect.Evidence
}

func (c *caller) attestations(ctx context.Context, dir string, duration time.Duration) ([]Attestation, error) {
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: c.TLS(c.roots), MaxIdleConnsPerHost: attesting}}
	defer client.CloseIdleConnections()
	apps := make([]attested, len(sizes))
	for i, size := range sizes {
		app, err := c.equip(packageOf(dir, size))
		if err != nil {
			return nil, err
		}
		defer app.Close()
		if apps[i].attester, err = app.Attester(c.Caller); err != nil {
			return nil, err
		}
		apps[i].evidence = app.Evidence(attestation.Findings{})
	}
	const most = 500 * time.Millisecond // for one size in a round
	rounds, times := max(minRounds, int(duration/most)), 10
	if duration < 100*time.Millisecond { // it is not about the numbers
		rounds, times = 1, 1
	}
	length := min(most, duration/time.Duration(rounds))
	rates, alone := make([][]float64, len(sizes)), make([][]float64, len(sizes))
	for round := range rounds + 1 { // the first warms up
		for i, app := range apps {
			rate, err := app.often(ctx, client, length)
			if err != nil {
				return nil, err
			}
			took, err := app.alone(ctx, client, times)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				rates[i], alone[i] = append(rates[i], rate), append(alone[i], took)
			}
		}
	}
	measured := make([]Attestation, len(sizes))
	for i, size := range sizes {
		measured[i] = Attestation{Stage: c.stage.Slug, PackageMB: size, PerSecond: rounded(median(rates[i]), 1), TookUS: rounded(median(alone[i]), 1)}
	}
	return measured, nil
}

// often is attested over some connections at once, for about that long, and returns how often a
// second.
func (a attested) often(ctx context.Context, client *http.Client, length time.Duration) (perSecond float64, err error) {
	var group errgroup.Group
	begin := time.Now()
	counts := make([]int, attesting)
	for i := range counts {
		group.Go(func() error {
			for time.Since(begin) < length {
				if _, err := a.attester.Attest(ctx, client, a.evidence); err != nil {
					return err
				}
				counts[i]++
			}
			return nil
		})
	}
	err = group.Wait()
	took, sum := time.Since(begin), 0
	for _, count := range counts {
		sum += count
	}
	return float64(sum) / took.Seconds(), err
}

// alone is attested some times alone, and returns how long one takes, in microseconds.
func (a attested) alone(ctx context.Context, client *http.Client, times int) (float64, error) {
	took := make([]float64, times)
	for i := range took {
		begin := time.Now()
		if _, err := a.attester.Attest(ctx, client, a.evidence); err != nil {
			return 0, err
		}
		took[i] = float64(time.Since(begin).Nanoseconds()) / 1000
	}
	return median(took), nil
}

// tokenClient is what servers authenticate with.
type tokenClient struct{ id, secret string }

// mediators measures what a mediator adds, at each stage that has one.
func (o *Options) mediators(ctx context.Context, who identity, at addresses) (measured []Mediator, err error) {
	for _, stage := range o.Stages.Built() {
		if stage.Call.ClientAuth != catalog.Mediated {
			continue
		}
		c, err := newCaller(stage, who, at)
		if err != nil {
			return nil, err
		}
		of, err := c.mediated(ctx, "https://"+at.Auth+"/"+stage.Slug+"/token")
		if err != nil {
			return nil, fmt.Errorf("measure the mediator at %s: %w", stage.Slug, err)
		}
		measured = append(measured, of)
	}
	return measured, nil
}

// mediated renews a user's tokens again and again, through the mediator and, as it does that, at the
// token endpoint itself, by turns.
func (c *caller) mediated(ctx context.Context, tokenEndpoint string) (Mediator, error) {
	if err := c.settle(ctx); err != nil {
		return Mediator{}, err
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: c.TLS(c.roots), MaxIdleConnsPerHost: 2}}
	defer client.CloseIdleConnections()
	oauth, err := c.OAuth(deploy.RedirectURI())
	if err != nil {
		return Mediator{}, err
	}
	const pairs, warm = 300, 30
	refresh := c.Identity().Refresh
	var direct, added []float64
	for i := range pairs + warm {
		begin := time.Now()
		through, err := oauth.Refresh(ctx, client, refresh, "")
		if err != nil {
			return Mediator{}, err
		}
		mediated := time.Since(begin)
		begin = time.Now()
		if refresh, err = c.servers.refresh(ctx, client, tokenEndpoint, through.Refresh); err != nil {
			return Mediator{}, err
		}
		alone := time.Since(begin)
		if i >= warm {
			direct = append(direct, float64(alone.Nanoseconds())/1000)
			added = append(added, float64((mediated-alone).Nanoseconds())/1000)
		}
	}
	return Mediator{Stage: c.stage.Slug, DirectUS: rounded(median(direct), 1), AddedUS: rounded(median(added), 1)}, nil
}

// refresh trades a refresh token for the next, as the mediator does.
func (t tokenClient) refresh(ctx context.Context, client *http.Client, endpoint, refreshToken string) (next string, err error) {
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", protect.FormMedia)
	request.SetBasicAuth(url.QueryEscape(t.id), url.QueryEscape(t.secret))
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct {
		Next string `json:"refresh_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK || answer.Next == "" {
		return "", fmt.Errorf("a refresh is answered with %s, and brings no refresh token: %w", response.Status, err)
	}
	return answer.Next, nil
}
