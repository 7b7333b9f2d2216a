// Package sdk is what apps are built against: the ways in which an app and the
// operating system of its phone speak to each other.
//
// An app is a process. Its environment is empty, and it inherits three sockets:
//
//	3  screen   the device calls the app: what the user taps, URLs that it claimed
//	4  system   the app calls the device: settings, storage, URLs to open, records
//	5  network  the device hands open connections to the app, as file descriptors
//
// On Linux its package is there, too, under 6: [Run] closes it.
//
// Screen and system speak JSON-RPC (net/rpc). Nothing says which app is calling: the
// device knows, because it made the sockets and started the process at their other
// end. When the device goes away the sockets end, and so does the app ([Run]).
package sdk
