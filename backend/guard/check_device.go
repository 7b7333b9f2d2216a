package guard

import (
	"net/http"

	"keyladder/internal/problem"
	"keyladder/stages/catalog"
)

// The fields that name a device.
const (
	deviceID   = "Device-Id"
	deviceGUID = "Device-Guid"
)

// device finds the device that the app runs on, by the identifier that it has there and the
// GUID that it got for it. [catalog.NoDevices] switches it off; the route on which
// devices are registered does without.
//
//keyladder:code guard-device
func (g *Guard) device(c *call) *Refusal {
	switch c.policy.Devices {
	case catalog.NoDevices:
		return nil
	case catalog.RegisteredDevices:
	default:
		return undecided("devices", c.policy.Devices)
	}
	if c.route.handler != nil && c.route.WithoutDevice {
		return nil
	}
	identifiers, guids := c.request.Header.Values(deviceID), c.request.Header.Values(deviceGUID)
	if len(identifiers) != 1 || len(guids) != 1 {
		return deviceNotAccepted("the call carries %d fields %s and %d fields %s", len(identifiers), deviceID, len(guids), deviceGUID)
	}
	found, err := g.Devices.Check(c.stage.Slug, c.appID(), identifiers[0], guids[0])
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
		"Register it with POST /v1/devices, and send "+deviceID+" and "+deviceGUID+" with every call."), reason, values...)
}
