package protect

import (
	"net/http"

	"keyladder/stages/catalog"
	"keyladder/stages/mechanism/appkey"
)

// appKeys are the IDs of apps, sent as keys.
var appKeys = mechanism{
	serves: []any{catalog.AppKey, catalog.KeyInField, catalog.KeyInPublicURLs},
	prepare: func(c *Caller) (part, error) {
		if c.policy.AppProof != catalog.AppKey {
			return nothing()
		}
		p := part{prove: func(r *Request, call Call) (answerCheck, error) {
			switch {
			case c.stolenProof(r.Header), c.identity.ClientID == "":
			case c.policy.KeyPlace == catalog.KeyInPublicURLs && call.Public && r.Method == http.MethodGet:
				appkey.SetQuery(&http.Request{URL: r.URL}, c.identity.ClientID)
			default:
				appkey.Set(r.Header, c.policy.AppProofField(), c.identity.ClientID)
			}
			return nil, nil
		}}
		if c.identity.ClientID == "" {
			p.lacks = ClientID
		}
		return p, nil
	},
}
