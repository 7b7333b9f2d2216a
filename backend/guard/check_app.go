package guard

// appProven makes the app, or the partner, whose proofs were good the proven one. All that
// is asked of it was looked at before: its key or signature, and its certificate.
//
//keyladder:code guard-app
func appProven(c *call) *Refusal {
	if c.claimed == nil {
		return refuse(closed(), "no app has proven itself")
	}
	c.app = c.claimed
	return nil
}
