package protect

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/deviceid"
)

// Installation is an app on a phone, as the API knows it.
type Installation struct {
	Identifier string `json:"identifier"` // the phone's
	GUID       string `json:"guid"`       // the API's, for that identifier
}

// devices say from which installation a call comes.
var devices = mechanism{
	serves: []any{catalog.RegisteredDevices, catalog.SessionOfDevice},
	prepare: func(c *Caller) (part, error) {
		device := c.identity.Device
		if c.policy.Devices != catalog.RegisteredDevices || device == (Installation{}) {
			return nothing()
		}
		return part{say: func(r *Request, _ Call) error {
			deviceid.Set(r.Header, device.Identifier, device.GUID)
			return nil
		}}, nil
	},
}

// RegisterCall registers an installation on the phone with that identifier.
func RegisterCall(identifier string) Call {
	body, _ := json.Marshal(map[string]string{"identifier": identifier}) // of two texts: never fails
	return Call{Method: http.MethodPost, Path: "/v1/devices", Body: body, Public: true}
}

// ReadInstallation reads the answer to [RegisterCall].
func ReadInstallation(body []byte, identifier string) (Installation, error) {
	made := Installation{Identifier: identifier}
	if err := json.Unmarshal(body, &made); err != nil {
		return Installation{}, fmt.Errorf("read the answer to the registration of an installation: %w", err)
	}
	if made.GUID == "" || made.Identifier != identifier {
		return Installation{}, errors.New("the answer to the registration of an installation has no GUID for it")
	}
	return made, nil
}
