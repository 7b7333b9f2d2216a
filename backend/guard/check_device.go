package guard

import (
	"net/http"

	"keyladder/backend/devices"
	"keyladder/internal/problem"
	"keyladder/stages/mechanism/deviceid"
)

// device finds the device that the app runs on, by the identifier that it has there and the
// GUID that it got for it.
//
//keyladder:code guard-device
func device(find func(stage, app, identifier, guid string) (*devices.Device, error)) func(*call) *Refusal {
	return func(c *call) *Refusal {
		identifier, guid, err := deviceid.From(c.request.Header)
		if err != nil {
			return deviceNotAccepted("%v", err)
		}
		found, err := find(c.stage.Slug, c.appID(), identifier, guid)
		if err != nil {
			return deviceNotAccepted("%v", err)
		}
		c.device = found
		return nil
	}
}

// deviceNotAccepted is the same whatever is wrong with the device: who tries identifiers
// does not learn which ones there are.
func deviceNotAccepted(reason string, values ...any) *Refusal {
	return refuse(unknownDevice, reason, values...)
}

var unknownDevice = problem.New(http.StatusForbidden, "device-not-accepted", "This device is not accepted",
	"Register it with POST /v1/devices, and send "+deviceid.Field+" and "+deviceid.GUIDField+" with every call.")
