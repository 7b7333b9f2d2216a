package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/deviceid"
)

// device finds the device that the app runs on, by the identifier that it has there and the
// GUID that it got for it. [catalog.NoDevices] switches it off; the route on which
// devices are registered does without.
//
//keyladder:code guard-device
func (g *Guard) device(c *call) *Refusal {
	switch c.policy.Call.Devices {
	case catalog.NoDevices:
		return nil
	case catalog.RegisteredDevices:
	default:
		return undecided("devices", c.policy.Call.Devices)
	}
	if c.route.handler != nil && c.route.WithoutDevice {
		return nil
	}
	identifier, guid, err := deviceid.From(c.request.Header)
	if err != nil {
		return deviceNotAccepted("%v", err)
	}
	found, err := g.Devices.Check(c.stage.Slug, c.appID(), identifier, guid)
	if err != nil {
		return deviceNotAccepted("%v", err)
	}
	c.device = found
	return nil
}

// deviceNotAccepted is the same whatever is wrong with the device: who tries identifiers
// does not learn which ones there are.
func deviceNotAccepted(reason string, values ...any) *Refusal {
	return refuse(problem.New(http.StatusForbidden, "device-not-accepted", "This device is not accepted",
		"Register it with POST /v1/devices, and send "+deviceid.Field+" and "+deviceid.GUIDField+" with every call."), reason, values...)
}
