// Package device is a simulated phone's operating system.
package device
