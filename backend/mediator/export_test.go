package mediator

// NewDeviceLimits is for tests.
var NewDeviceLimits = newDeviceLimits
