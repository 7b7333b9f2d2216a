package deploy

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"keyladder/mobileclient/release"
	"keyladder/stages/mechanism/attestation"
	"keyladder/stages/protect"
)

// Attest has the attestation service look at an app that there is no process of: it answers out of
// the package file, as an app does that finds nothing wrong about its surroundings, on a device that
// calls itself so. The client decides how the service is reached.
func Attest(ctx context.Context, client *http.Client, caller *protect.Caller, path, device string) (protect.Attested, error) {
	fail := func(err error) (protect.Attested, error) {
		return protect.Attested{}, fmt.Errorf("be attested with %s: %w", path, err)
	}
	manifest, _, err := release.Assets(path)
	if err != nil {
		return fail(err)
	}
	file, err := os.Open(path)
	if err != nil {
		return fail(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fail(err)
	}
	measured, err := protect.Measure(file, info.Size())
	if err != nil {
		return fail(err)
	}
	attester, err := caller.Attester(manifest.Release, device)
	if err != nil {
		return fail(err)
	}
	attester.Size = measured.Size
	attested, err := attester.Attest(ctx, client, measured.Evidence(attestation.Findings{}))
	if err != nil {
		return fail(err)
	}
	return attested, nil
}
