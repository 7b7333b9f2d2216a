package devices

import (
	"context"

	"keyladder/internal/manage"
)

// Hold sets how many devices of an app can be registered at a stage.
func (r *Registry) Hold(most int) { r.most = most }

// List is all devices, the latest registered first.
func (r *Registry) List() []manage.Device {
	list, err := r.Query(context.Background(), manage.DeviceQuery{})
	if err != nil {
		panic(err)
	}
	return list.Devices
}
