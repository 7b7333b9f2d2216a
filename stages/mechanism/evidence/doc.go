// Package evidence is what the secure hardware of a device says about itself and about one of the
// apps on it: an Entity Attestation Token (EAT, RFC 9711), which is evidence in the sense of RFC 9334.
// It is signed with a key that the device's maker has certified and that never leaves the hardware. So
// it is not the app that says what the app is, and not its owner either.
//
// # The message
//
// It is a JWT in compact form, signed with ES256. Its header carries the certificates (RFC 7515,
// section 4.1.6): that of the device first, then those that lead to the maker's root, without the root.
//
//	header  {"alg":"ES256","typ":"eat+jwt","x5c":["MIIB…","MIIB…"]}
//	claims  {"eat_profile":"urn:keyladder:eat:device-evidence",
//	         "iat":1790000000,
//	         "eat_nonce":["ZGV2…","uK3a…"],
//	         "ueid":"AU1w…","oemid":32473,"hwmodel":"S2VlbCAx",
//	         "swname":"KeelOS","swversion":["1"],"oemboot":true,
//	         "boot":{"locked":true,"key":"sha256/…"},
//	         "dbgstat":"disabled",
//	         "measurements":[[50,"eyJu…"]],
//	         "cnf":{"jwk":{"kty":"EC","crv":"P-256","x":"…","y":"…"}}}
//
// The claims, and where they come from (sections of RFC 9711, where no other is named):
//
//	eat_profile   4.3.2   what is written here: which claims there have to be, and what they mean
//	iat           4.3.1   the device's clock, in whole seconds
//	eat_nonce     4.1     two: the verifier's, and the SHA-256 of what the app reports along with it ([Bound])
//	ueid          4.2.1   which device it is: a byte 1 for "random" and 16 random bytes; in its certificate, too
//	oemid         4.2.3   its maker, by its Private Enterprise Number: 32473 is for examples (RFC 5612)
//	hwmodel       4.2.4   its model, as the maker calls it
//	swname        4.2.6   its operating system
//	swversion     4.2.7   and the version of that
//	oemboot       4.2.8   it has started a system of the maker's and of nobody else's
//	dbgstat       4.2.9   whether something debugs the app
//	measurements  4.2.16  the package that the app was started from, as the device has measured it then;
//	                      50 is application/json, and the JSON has name, sha256 and signer
//	cnf           RFC 7800, section 3.2: the app's key, which the hardware keeps
//	boot          of this profile: whether the boot loader is locked, and the pin of the key that the
//	              system which it started is signed with
//
// The device's half is [Sign], the verifier's [Verifier.Verify]. What Verify returns was said by a device of that
// maker, for this session. Whether it is good, such as the system or the package, is for somebody
// else to decide who knows which ones are accepted.
//
// # What it is worth
//
// As much as it takes to get a key out of the hardware, or to have the hardware lied to. The system of
// the device is part of what is measured, and measures the app; one that its owner can change could
// report anything. So the boot loader, which starts the system, says first whose system it is, and the
// hardware puts that in every evidence. A device whose key has become known can be refused by the
// serial number of its certificate ([Serial]).
//
// A ueid and a certificate of its own make a device known again by everyone whom it attests to
// (RFC 9711, section 8.1, and RFC 9334, section 11). A product would have many devices share a certified
// key, or let somebody whom both sides trust stand in between.
package evidence
