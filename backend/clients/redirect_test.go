package clients_test

import (
	"errors"
	"testing"

	"keyladder/backend/clients"
	"keyladder/internal/manage"
)

// TestRedirectURIs that can be registered, and those that nobody should be sent to. What is
// registered is good byte for byte, and of a loopback address at any port (RFC 8252, section
// 7.3), whether or not one was registered.
func TestRedirectURIs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, uri string
		good      bool
	}{
		{"a website", "https://shop.example/back", true},
		{"with a query", "https://shop.example/back?tenant=1&x=%20", true},
		{"with a port", "https://shop.example:8443/back", true},
		{"without a path", "https://shop.example", true},
		{"a scheme of the app's own", "com.example.app:/back", true},
		{"the same, without a slash", "com.example.app:back", true},
		{"loopback", "http://127.0.0.1/back", true},
		{"loopback at a port", "http://127.0.0.1:8080/back", true},
		{"loopback of IPv6", "http://[::1]/back", true},

		{"nothing", "", false},
		{"no URI", "https://shop.example/%zz", false},
		{"without a scheme", "//shop.example/back", false},
		{"without a host", "https:///back", false},
		{"a port without a host", "https://:443/back", false},
		{"no host at all", "https:shop.example/back", false},
		{"a user name", "https://shop.example@evil.example/back", false},
		{"a user name before loopback", "http://evil.example@127.0.0.1/back", false},
		{"port 0", "https://shop.example:0/back", false},
		{"a port beyond all", "https://shop.example:99999/back", false},
		{"a colon without a port", "http://127.0.0.1:/back", false},
		{"a fragment", "https://shop.example/back#x", false},
		{"an empty fragment", "https://shop.example/back#", false},
		{"a wildcard", "https://*.shop.example/back", false},
		{"a space", "https://shop.example/a b", false},
		{"a line", "https://shop.example/\r\nLocation: https://evil.example", false},
		{"not ASCII", "https://shop.example/zurück", false},
		{"quotes", `https://shop.example/"`, false},
		{"brackets", "https://shop.example/?<script>", false},
		{"a backslash", `https://shop.example/\evil.example`, false},
		{"http", "http://shop.example/back", false},
		{"http of a name", "http://localhost/back", false},
		{"a host that begins as loopback", "http://127.0.0.1.evil.example/back", false},
		{"loopback, shorter", "http://127.1/back", false},
		{"another scheme", "ftp://shop.example/back", false},
		{"a scheme without a dot", "app:/back", false},
		{"a scheme alone", "com.example.app:", false},
		{"a scheme of the app's own, with a host", "com.example.app://back", false},
		{"a script", "javascript:alert(1)", false},
		{"data", "data:text/html,x", false},
	} {
		r := fresh(t)
		registered, err := r.Register(t.Context(), app(func(a *manage.App) { a.ID, a.RedirectURIs = "tester", []string{test.uri} }))
		if (err == nil) != test.good || err != nil && !errors.Is(err, clients.ErrInvalid) {
			t.Errorf("%s, %s: %v, %v", test.name, test.uri, registered.RedirectURIs, err)
		}
	}
	twice := app(func(a *manage.App) {
		a.ID, a.RedirectURIs = "tester", []string{"https://shop.example/", "https://shop.example/"}
	})
	if _, err := fresh(t).Register(t.Context(), twice); !errors.Is(err, clients.ErrInvalid) {
		t.Errorf("the same twice: %v", err)
	}

	for registered, test := range map[string]struct{ good, bad []string }{
		"http://127.0.0.1/back": {
			[]string{"http://127.0.0.1/back", "http://127.0.0.1:1/back", "http://127.0.0.1:65535/back"},
			[]string{"http://127.0.0.1:0/back", "http://127.0.0.1:65536/back", "http://127.0.0.1:/back", "http://127.0.0.2/back", "http://127.0.0.1:8080/back/", "https://127.0.0.1/back", "http://u@127.0.0.1:8080/back", "http://127.0.0.1:8080@evil.example/back"},
		},
		"http://127.0.0.1:8080/back": {
			[]string{"http://127.0.0.1:8080/back", "http://127.0.0.1:9090/back", "http://127.0.0.1/back"},
			[]string{"http://127.0.0.1:8080/", "http://[::1]:8080/back", "http://localhost:8080/back"},
		},
		"http://[::1]:8080/back":         {[]string{"http://[::1]:9090/back", "http://[::1]/back"}, []string{"http://127.0.0.1:8080/back", "http://[::2]:8080/back"}},
		"https://shop.example:8443/back": {[]string{"https://shop.example:8443/back"}, []string{"https://shop.example:8444/back", "https://shop.example/back"}},
		"https://shop.example/back":      {[]string{"https://shop.example/back"}, []string{"https://shop.example:443/back", "https://SHOP.example/back", "https://shop.example/%62ack", ""}},
	} {
		client := clients.App{RedirectURIs: []string{registered}}
		for _, uri := range test.good {
			if !client.RedirectsTo(uri) {
				t.Errorf("%s is not good for %s", uri, registered)
			}
		}
		for _, uri := range test.bad {
			if client.RedirectsTo(uri) {
				t.Errorf("%s is good for %s", uri, registered)
			}
		}
	}
}

// TestRedirectsBelow: whatever begins as a registered one, and is a URI that somebody can be sent to.
func TestRedirectsBelow(t *testing.T) {
	t.Parallel()
	app := &clients.App{RedirectURIs: []string{"com.example.app:/back", "https://shop.example/back"}}
	for uri, want := range map[string]bool{
		"com.example.app:/back": true, "com.example.app:/back/lite": true, "https://shop.example/back?to=evil": true, "https://shop.example/backdoor": true,
		"com.example.app:/bac": false, "https://shop.example.evil.example/back": false, "https://shop.example/back#x": false,
		"https://shop.example/back\r\nx: y": false, "": false,
	} {
		if got := app.RedirectsBelow(uri); got != want {
			t.Errorf("%q: %v", uri, got)
		}
	}
}
