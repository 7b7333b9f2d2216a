// Package release packs the app's program, its assets and its developer's signature
// into an installable package, and takes packages apart again.
//
// A package is one file:
//
//	program     an executable of this operating system
//	zip         manifest.json, settings.json and other assets, not compressed
//	signature   length of the program, signer's public key, Ed25519 signature, magic
//
// Operating systems run the file as it is, because they read programs from the front;
// zip tools open it as it is, because they read archives from the back: the signature
// is, to them, the archive's comment. So `unzip -p harbour-bank-1.pkg settings.json`
// and `strings` work on it, and the app finds its assets in its own executable.
//
// The genuine app is shipped with [Settings]. Release 1 has them in
// settings.json as they are ([BundleClear]); release 2 hides the secrets among them
// (package scatter); release 3 has no secrets ([BundleNoSecrets]). Each has a program that can read its own (package build).
//
// The signature covers the SHA-256 of everything before itself, the signer's key included.
// It proves that nobody but the signer changed the package. It does not prove who the signer
// is: that is for whoever installs it to decide, and anybody can sign a package anew with a
// key of their own.
package release
