package devices

// Hold sets how many devices of an app can be registered at a stage.
func (r *Registry) Hold(most int) { r.most = most }
