package guard

import "keyladder/stages/catalog"

// binding checks that app, user and this very request belong together.
// [catalog.NotBound] switches it off: what proves the app is good for every request.
func (g *Guard) binding(c *call) *Refusal {
	switch c.stage.Policy.Binding {
	case catalog.NotBound:
		return nil
	default:
		return undecided("binding", c.stage.Policy.Binding)
	}
}
