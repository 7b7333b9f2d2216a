// Package deviceid names the installation of an app that makes a call: two header
// fields that go with every call, next to the app's proof.
//
//	Device-Id: 6ZJ4Y3C5QH…        the identifier that the device gives the app
//	Device-Guid: xEoU5xr9dYw…     what the server gave out when the app registered it
//
// The identifier is known to others: to the maker, and to everybody who gets to see a call.
// The GUID is random and was told to this installation alone, so that nobody names a device
// that is somebody else's. Both together prove nothing about the phone; they are something
// that a server can ban. A signature that does not cover them says nothing about them
// either (see session.Covered).
package deviceid
