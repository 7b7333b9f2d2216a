package main

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"keyladder/mobileclient/device/sdk"
	"keyladder/stages/protect"
)

// connection is the way to the bank. It is kept open from call to call, until the device's
// settings change.
type connection struct {
	mu       sync.Mutex
	settings sdk.Settings
	http     *http.Client
}

// client is the HTTP client. It trusts whom the device's trust store trusts, never the
// machine's.
func (c *connection) client(system *sdk.System, caller *protect.Caller) (*http.Client, error) {
	settings, err := system.Settings()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil && c.settings.Version == settings.Version {
		return c.http, nil
	}
	transport := &http.Transport{
		DialContext:         system.Dial,
		DisableCompression:  true, // so that lengths in the records are those of the text
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: callTime,
		TLSClientConfig:     caller.TLS(settings.Roots),
	}
	if settings.Proxy != "" {
		proxy, err := url.Parse(settings.Proxy)
		if err != nil {
			return nil, fmt.Errorf("the phone's proxy setting can't be used: %w", err)
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	c.settings = settings
	c.http = &http.Client{
		Transport: transport,
		// The API redirects nobody, and the key is for nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c.http, nil
}
