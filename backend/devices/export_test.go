package devices

// Hold sets how many devices can be registered.
func (r *Registry) Hold(most int) { r.most = most }
