package guard

import "keyladder/stages/catalog"

// user finds out who uses the app. [catalog.NoUser] switches it off: any accepted app
// may act on any account.
func (g *Guard) user(c *call) *Refusal {
	switch c.stage.Policy.UserProof {
	case catalog.NoUser:
		return nil
	default:
		return undecided("user_proof", c.stage.Policy.UserProof)
	}
}
