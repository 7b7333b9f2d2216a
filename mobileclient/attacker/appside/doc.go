// Package appside holds the attacks that begin with the app itself, a file each: with a copy
// of its package, with the app on a phone of the attacker's own, with what it stored on the
// victim's phone, or with an app that takes its place there.
package appside
