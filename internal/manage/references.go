package manage

import (
	"context"
	"net/url"
	"time"
)

// Reference is a package that was published, with which evidence is compared.
type Reference struct {
	Client       string     `json:"client"`
	Package      string     `json:"package"` // com.harbourbank.app
	Release      int        `json:"release"`
	SHA256       string     `json:"sha256"` // hex; names it
	Size         int64      `json:"size"`   // bytes
	Signer       string     `json:"signer"` // pin of the signer's public key: "sha256/" + base64
	RegisteredAt time.Time  `json:"registered_at"`
	WithdrawnAt  *time.Time `json:"withdrawn_at,omitempty"`
	History      []Event    `json:"history"` // the oldest first
}

// References returns all references, the newest first.
func References(ctx context.Context, d Doer) ([]Reference, error) {
	return Get[[]Reference](ctx, d, ReferencesPath)
}

// WithdrawReference has apps of that package fail from their next attestation on; with restore they
// are accepted again.
func WithdrawReference(ctx context.Context, d Doer, sha256 string, restore bool) (Reference, error) {
	return Post[Reference](ctx, d, ReferencesPath+"/"+url.PathEscape(sha256)+withdrawOr(restore), struct{}{})
}

func withdrawOr(restore bool) string {
	if restore {
		return "/restore"
	}
	return "/withdraw"
}

// Signer is who may sign a client's packages.
type Signer struct {
	Client      string     `json:"client"`
	Signer      string     `json:"signer"` // pin of the public key: "sha256/" + base64
	AcceptedAt  time.Time  `json:"accepted_at"`
	WithdrawnAt *time.Time `json:"withdrawn_at,omitempty"`
	History     []Event    `json:"history"` // the oldest first
}

// SignerToAccept is a signer whose packages are accepted from now on, or, withdrawn, are not.
type SignerToAccept struct {
	Client   string `json:"client"`
	Signer   string `json:"signer"`
	Withdraw bool   `json:"withdraw,omitempty"`
}

// RegisterPackage uploads a package, which is a reference from then on. Its signature has to fit, and
// its signer has to be one that is accepted: 422 where that is not so.
func RegisterPackage(ctx context.Context, d Doer, pkg []byte) (Reference, error) {
	return Post[Reference](ctx, d, ReferencesPath, pkg)
}
