// Package device is a simulated phone: what its operating system gives to apps and
// to the person who holds it.
//
// These parts are real: an app is a process of its own, started from its package, with an
// empty environment. Its connections are the machine's, and are handed to it as file
// descriptors. So the package can be read and changed, the process can be searched and
// debugged, and its traffic can be led through any proxy, as on a phone that one owns.
//
// The device does this:
//
//   - installs packages (packages.go): a signature must fit, the signer must be one that
//     the app store vouches for unless sideloading is allowed, and an update must have the
//     signer of what it replaces;
//   - launches apps (app.go, image_linux.go, package confine): it starts what it has measured, with no
//     more than it needs, speaks to the process over inherited sockets, so that it knows which app is
//     asking (system.go), and ends it; the process ends by itself when the device is gone;
//   - carries all bytes (network.go, modem.go): directly or through the access point that it
//     joined, and notes what can be seen on the way (record.go);
//   - has secure hardware (hardware.go, package hardware), if a factory has put some into it: a process
//     that keeps a key for each app, and says what the device and the app are;
//   - keeps a trust store (trust.go), storage for each app (storage.go), an identifier for
//     each installation and its settings (state.go), all of which survive its own restart;
//   - shows pages (agent.go, page.go), and hands URLs with other schemes to apps that claimed
//     them (schemes.go).
//
// The isolation of devices is not: there is no kernel between two devices of one machine. Anyone who may act
// as the user that runs them can do anything to both.
//
// A debugger in the process that launched an app must let go of it before
// [App.Close], and wait for stops with its own thread.
package device
