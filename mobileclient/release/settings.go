package release

import "keyladder/stages/catalog"

// SettingsFile is the asset that holds the [Settings], but for what is hidden.
const SettingsFile = "settings.json"

// Settings is what the genuine app is shipped with. Release 1 carries it in the clear,
// secrets included, under the names that developers give to constants. Release 2 hides
// those that are omitted here when they are empty.
type Settings struct {
	ClientID          string                    `json:"CLIENT_ID"`
	SharedSecret      string                    `json:"SHARED_SECRET,omitempty"`
	ClientCertificate string                    `json:"TLS_CLIENT_CERTIFICATE,omitempty"` // PEM
	ClientKey         string                    `json:"TLS_CLIENT_KEY,omitempty"`         // PEM, PKCS #8
	ServerPins        []string                  `json:"SERVER_PINS,omitempty"`            // as in stages/mechanism/pin
	APIPlain          string                    `json:"API_PLAIN"`                        // URL without a path
	APITLS            string                    `json:"API_TLS"`                          // URL without a path
	TransferCap       int64                     `json:"TRANSFER_CAP"`                     // minor units: the app transfers no more at once
	Stages            map[string]catalog.Policy `json:"STAGES"`                           // what to do, by the stage's slug
}
