package devices

import "keyladder/internal/manage"

// Hold sets how many devices of an app can be registered at a stage.
func (r *Registry) Hold(most int) { r.most = most }

// List is all devices, the latest registered first.
func (r *Registry) List() []manage.Device { return r.Query(manage.DeviceQuery{}).Devices }
