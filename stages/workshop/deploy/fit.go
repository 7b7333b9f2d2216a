package deploy

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"keyladder/internal/deployment"
	"keyladder/mobileclient/release"
	"keyladder/mobileclient/release/scatter"
	"keyladder/stages/catalog"
)

// Unfit names the packages of a deployment that were shipped with other call policies than
// the stages have now, or with policies of another shape: PACKAGE (STAGE, STAGE). An app
// refuses to call at a stage whose policy it can't read, so `stages release` is due.
func Unfit(dir string, stages catalog.Set) ([]string, error) {
	folder, err := deployment.Open(dir, deployment.Phone)
	if err != nil {
		return nil, err
	}
	var unfit []string
	for _, path := range folder.Packages() {
		manifest, assets, err := release.Assets(path)
		if err != nil {
			return nil, err
		}
		settings, _, err := shipped(assets)
		var others []string
		for _, stage := range stages.Built() {
			if stage.Package.Release == manifest.Release && (err != nil || settings.Stages[stage.Slug] != stage.Call) {
				others = append(others, stage.Slug)
			}
		}
		if len(others) > 0 {
			unfit = append(unfit, fmt.Sprintf("%s (%s)", filepath.Base(path), strings.Join(others, ", ")))
		}
	}
	slices.Sort(unfit)
	return unfit, nil
}

// Shipped reads what the app in a package was shipped with.
func Shipped(path string) (*release.Settings, error) {
	_, assets, err := release.Assets(path)
	if err != nil {
		return nil, err
	}
	settings, _, err := shipped(assets)
	return settings, err
}

// shipped reads what an app was shipped with, and how its package carries secrets. Whoever
// reads those in the clear notices neither that others are hidden nor that there are none, so
// that comes last.
func shipped(assets map[string][]byte) (*release.Settings, catalog.Secrets, error) {
	if settings, err := scatter.Unbundle(assets); err == nil {
		return settings, catalog.HiddenSecrets, nil
	}
	if settings, err := release.UnbundleNoSecrets(assets); err == nil {
		return settings, catalog.NoSecrets, nil
	}
	settings, err := release.UnbundleClear(assets)
	return settings, catalog.ClearSecrets, err
}
