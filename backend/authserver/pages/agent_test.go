package pages_test

import (
	"net/url"
	"strings"
	"testing"

	"keyladder/backend/authserver/pages"
	"keyladder/mobileclient/device"
	"keyladder/mobileclient/person"
)

// The phone's user agent reads the pages: a person finds where name and password go, the first
// button goes on, and what there is to know stands in the text.
func TestUserAgentOfThePhone(t *testing.T) {
	t.Parallel()
	phone, err := device.New(device.Config{Dir: t.TempDir(), Owner: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := phone.Close(); err != nil {
			t.Error(err)
		}
	})
	base := serve(t, all(friendly), pages.ContentSecurityPolicy(""), "/done?sent=SENT")
	alice := person.Person{Name: "alice", Password: "secret"}
	for _, test := range []struct {
		page    string
		says    []string // lines of the text
		asks    bool     // for the password
		labels  []string // of what can be filled in
		buttons []string
		sends   string // pressing the first button
	}{
		{
			page: "sign-in", asks: true, labels: []string{"Name", "Password"}, buttons: []string{"Sign in", "Cancel"}, sends: "sign-in sends alice, ",
			says: []string{"Harbour Bank for phones asks for access to Harbour Bank in your name.", "harbour-mobile", "the app on this device that opens com.harbourbank.mobile links"},
		},
		{
			page: "sign-in-refused", asks: true, labels: []string{"Name", "Password"}, buttons: []string{"Sign in", "Cancel"}, sends: "sign-in sends alice, ",
			says: []string{"This name and this password do not belong together. Check both and try again."},
		},
		{
			page: "sign-in-consents", asks: true, labels: []string{"Name", "Password"}, buttons: []string{"Sign in"}, sends: "sign-in sends alice, ",
			says: []string{"Sign in to see which apps have access in your name, and to withdraw it."},
		},
		{
			page: "consent", buttons: []string{"Allow", "Don't allow"}, sends: "consent sends , allow",
			says: []string{"See exchange rates rates:read", "Make transfers from your accounts transfers:write moves money", "10 minutes at a time. The app can renew it for up to 30 days without asking you again."},
		},
		{page: "problem-redirect", says: []string{"This request may be from somebody else", "invalid_request"}},
	} {
		page, err := phone.Agent().Open(t.Context(), base+"/"+test.page, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range test.says {
			if !strings.Contains("\n"+page.Text+"\n", "\n"+line+"\n") {
				t.Errorf("%s does not say %q:\n%s", test.page, line, page.Text)
			}
		}
		if test.buttons == nil {
			if len(page.Forms) != 0 {
				t.Errorf("%s has a form", test.page)
			}
			continue
		}
		if len(page.Forms) != 1 {
			t.Errorf("%s has %d forms", test.page, len(page.Forms))
			continue
		}
		form := page.Forms[0]
		values, asks := alice.Fill(form)
		if asks != test.asks {
			t.Errorf("%s asks for a password: %v", test.page, asks)
		}
		var labels, buttons []string
		for _, field := range form.Fields {
			if field.Kind != device.Hidden {
				labels = append(labels, field.Label)
			}
		}
		for _, button := range form.Buttons {
			buttons = append(buttons, button.Label)
		}
		if strings.Join(labels, ", ") != strings.Join(test.labels, ", ") || strings.Join(buttons, ", ") != strings.Join(test.buttons, ", ") {
			t.Errorf("%s has the fields %q and the buttons %q", test.page, labels, buttons)
			continue
		}
		next, err := phone.Agent().Submit(t.Context(), page, form, values, form.Buttons[0])
		if err != nil {
			t.Fatal(err)
		}
		if u, err := url.Parse(next.URL); err != nil || u.Query().Get("sent") != test.sends {
			t.Errorf("%s leads to %s", test.page, next.URL)
		}
	}
}
