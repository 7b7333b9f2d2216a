package guard_test

import (
	"context"
	"net/http"
	"strings"
	"time"

	"keyladder/backend/guard"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/hawk"
	"keyladder/stages/mechanism/sealed"
)

// unsigned demands no app proof, nor what builds on it.
func unsigned(p *catalog.Policies) {
	p.Call.AppProof, p.Call.Devices = catalog.NoAppProof, catalog.NoDevices
}

// instead makes another request than the table's.
func instead(make func(w *world) *http.Request) func(*world) func(*http.Request) {
	return func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			*r = *make(w)
		}
	}
}

// again signs a request without a body anew, for the same app.
func again(w *world, r *http.Request, change func(*hawk.Client)) {
	signed, err := hawk.Parse(signature(r))
	if err != nil {
		w.Fatal(err)
	}
	found, _ := catalog.All().Lookup(strings.Split(r.URL.Path, "/")[1])
	client := w.client(found.Call, signed.ID)
	change(client)
	w.sign(client, r, nil)
}

// asItIs changes nothing of the client that signs.
func asItIs(*hawk.Client) {}

var signedRefusals = []refusal{
	{"unsigned", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del("Authorization") }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"the key alone", "hmac", func(*world) func(*http.Request) {
		return setKey(mobile)
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"unreadable signature", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", `Hawk id="x"`) }
	}, "hawk", 400, "bad-request", unsigned},
	{"two signatures", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }
	}, "hawk", 400, "bad-request", unsigned},
	{"signed with another secret", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) { again(w, r, func(c *hawk.Client) { c.Credentials.Key = "a guess" }) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed by nobody", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) { again(w, r, func(c *hawk.Client) { c.Credentials.ID = "invented" }) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed by a partner, who has no secret", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) { again(w, r, func(c *hawk.Client) { c.Credentials.ID = partner }) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed with a revoked key", "hmac", func(w *world) func(*http.Request) {
		if _, err := w.apps.Revoke(context.Background(), mobile); err != nil {
			w.Fatal(err)
		}
		return func(*http.Request) {}
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed with the secret before the last", "hmac", func(w *world) func(*http.Request) {
		if _, err := w.apps.RotateSecret(context.Background(), mobile); err != nil {
			w.Fatal(err)
		}
		return func(*http.Request) {}
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed too long ago", "hmac", func(w *world) func(*http.Request) {
		return func(*http.Request) { w.clock.advance(62 * time.Second) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signed for a time to come", "hmac", func(w *world) func(*http.Request) {
		return func(*http.Request) { w.clock.advance(-62 * time.Second) }
	}, "hawk", 401, "client-not-accepted", unsigned},
	{"signature in the field of another stage", "user-session", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("App-Authorization"))
			r.Header.Del("App-Authorization")
		}
	}, "hawk", 401, "client-not-accepted", nil},
	{"with the certificate of another app", "hmac", func(w *world) func(*http.Request) {
		return over(guard.TLS, w.clients[kiosk])
	}, "certificate-of-app", 403, "client-certificate-required", func(p *catalog.Policies) { p.Call.Transport = catalog.TLS }},

	{"the same request once more", "hidden-secrets", func(w *world) func(*http.Request) {
		return func(r *http.Request) { w.do(r) }
	}, "nonce", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }},
	{"the same request once more, as late as can be", "hidden-secrets", func(w *world) func(*http.Request) {
		w.clock.now = w.clock.now.Truncate(time.Second)
		return func(r *http.Request) {
			w.clock.advance(-60 * time.Second)
			w.do(r)
			w.clock.advance(120 * time.Second)
		}
	}, "nonce", 401, "client-not-accepted", func(p *catalog.Policies) { p.Call.Nonces = catalog.NoncesForgotten }},

	{"body in the clear", "hidden-secrets", instead(func(w *world) *http.Request {
		r := w.request("hidden-secrets", http.MethodPost, "/v1/transfers", "{}")
		r.Header.Set("Content-Type", "application/json")
		w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, []byte("{}"))
		return r
	}), "sealed-body", 400, "body-not-sealed", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }},
	{"body that only says that it is sealed", "hidden-secrets", instead(func(w *world) *http.Request {
		r := w.request("hidden-secrets", http.MethodPost, "/v1/transfers", "{}")
		w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, []byte("{}"))
		return r
	}), "sealed-body", 400, "body-not-sealed", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }},
	{"body sealed with another app's secret", "hidden-secrets", instead(func(w *world) *http.Request {
		r := w.request("hidden-secrets", http.MethodPost, "/v1/transfers", "{}")
		w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, w.seal(kiosk, "{}"))
		return r
	}), "sealed-body", 400, "body-not-sealed", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }},
	{"body sealed for the other direction", "hidden-secrets", instead(func(w *world) *http.Request {
		r := w.request("hidden-secrets", http.MethodPost, "/v1/transfers", "{}")
		keys, _ := sealed.DeriveKeys(w.secrets[mobile])
		body, err := keys.Responses.Seal([]byte("{}"), "application/json")
		if err != nil {
			w.Fatal(err)
		}
		w.sign(w.client(catalog.Call{UserProof: catalog.NoUser}, mobile), r, body)
		return r
	}), "sealed-body", 400, "body-not-sealed", func(p *catalog.Policies) { p.Call.Bodies = catalog.PlainBodies }},

	{"no device", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Device-Id")
			r.Header.Del("Device-Guid")
		}
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"device without its GUID", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Del("Device-Guid") }
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"device with another GUID", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Device-Guid", "AAAAAAAAAAAAAAAAAAAAAA") }
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"two devices", "hmac", func(*world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Add("Device-Id", "another") }
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"device that was registered at another stage", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Device-Guid", w.guid("hidden-secrets", mobile)) }
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"device of another app", "hmac", func(w *world) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Device-Id", "device-of-"+kiosk)
			r.Header.Set("Device-Guid", w.guid("hmac", kiosk))
		}
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
	{"banned device", "hmac", func(w *world) func(*http.Request) {
		w.guid("hmac", mobile)
		for _, device := range w.registered() {
			if _, err := w.devices.Ban(context.Background(), w.clock.Now(), device.ID); err != nil {
				w.Fatal(err)
			}
		}
		return func(*http.Request) {}
	}, "device", 403, "device-not-accepted", func(p *catalog.Policies) { p.Call.Devices = catalog.NoDevices }},
}
