package server

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// What the attestation service finds out is seen when it does, and what an admin changes is seen at
// once; on a wide screen and on a narrow one.
func TestChromiumShowsAttestation(t *testing.T) {
	t.Parallel()
	set := newSetting(t, askingDevices)
	set.attest.useDevices()
	b := openTab(t, set)
	b.signIn()
	seen := func(selector string) chromedp.Action[chromedp.Void] { return chromedp.WaitVisible(selector) }
	b.do("open the attestations", chromedp.Click(`.nav a[href="/attestations"]`), seen(`.live.on`), seen(`[data-attestation="GENUI-NECAL"]`))
	set.attest.mu.Lock()
	fresh := set.attest.results[0]
	fresh.Reference, fresh.At = "JUSTN-OWONE", fresh.At.Add(time.Second)
	set.attest.results = append(set.attest.results, fresh)
	set.attest.mu.Unlock()
	b.do("see one that is new", seen(`tr:first-child[data-attestation="JUSTN-OWONE"]`))
	if rows := evaluate[int](b, `document.querySelectorAll("[data-attestation]").length`); rows != 5 {
		t.Errorf("%d rows: one came twice, or is gone", rows)
	}
	if text := evaluate[string](b, `document.querySelector("[data-total]").textContent`); text != "5 attestations" {
		t.Errorf("the pager says %q", text)
	}
	b.do("look for a code", chromedp.SendKeys("#search", "patch-edapp\r"), seen(`[data-claim=executables][data-trust=contraindicated]`))
	b.do("ban a device", b.open("/attestations/devices"), chromedp.Click(`[data-ban=AD1]`), seen(`[data-device=AD1][data-banned=true]`))
	b.do("take it back", chromedp.Click(`[data-undo]`), seen(`[data-device=AD1][data-banned=false]`))
	b.do("see the releases", b.open("/attestations/releases"), seen(`[data-withdraw]`))
	release := `[data-release="` + evaluate[string](b, `document.querySelector("[data-withdraw]").dataset.withdraw`) + `"]` // others are not withdrawn all the time
	b.do("withdraw a release", chromedp.Click(`[data-withdraw]`), seen(`[data-sure]`), chromedp.Click(`[data-sure]`), seen(release+`[data-withdrawn=true]`))
	b.do("take it back", chromedp.Click(`[data-undo]`), seen(release+`[data-withdrawn=false]`))
	b.do("revoke a device", b.open("/attestations/devices/AD1"), chromedp.Click(`[data-revoke]`), seen(`[data-sure]`), chromedp.Click(`[data-sure]`), seen(`[data-restore]`))
	b.do("take it back", chromedp.Click(`[data-undo]`), seen(`[data-revoke]`))
	b.do("accept a boot key", b.open("/attestations/DEBUG-GEDAP"), chromedp.Click(`[data-test=accept-system]`), seen(`#system-key`), chromedp.Click(`button[data-test=accept-system]`),
		seen(`[data-system="`+freeKey+`"][data-withdrawn=false]`))
	b.do("enforce a claim", b.open("/attestations/enforcement"), chromedp.Click(`[data-change=looked-at-runtime]`), seen(`[data-sure]`), chromedp.Click(`[data-sure]`),
		seen(`[data-claim=runtime][data-policy=enforced]`))
	for _, width := range []int64{400, 1280} {
		call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 800, DeviceScaleFactor: 1, Mobile: width < 500})
		for _, path := range []string{"", "/PATCH-EDAPP", "/sessions", "/enforcement", "/releases", "/devices", "/devices/AD1", "/makers", "/GENUI-NECAL", "/answers", "/clock"} {
			b.do("open "+path, b.open("/attestations"+path), seen("h1"))
			if wide := evaluate[int64](b, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s is %d wide in a window of %d", path, wide, width)
			}
		}
	}
}
