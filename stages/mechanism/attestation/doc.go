// Package attestation is how an app shows that its package is the one that its developer
// published, and how somebody who has that package checks it: both halves of two levels.
//
// # Hash
//
// The app reports the SHA-256 of its package ([Measure]), and the verifier compares it with that of
// the release ([Equal]). The hash is no secret: whoever has the package can compute it, and it is
// the same each time, so that a report is as good the second time as the first.
//
// # Challenge
//
// The verifier makes up a nonce and some ranges of the package ([NewChallenge]), and the app answers
// with a digest that is keyed with the nonce, over the bytes in the ranges and over what it found
// out about its surroundings ([Challenge.Answer]). The verifier computes the same over its own copy.
// An answer is good for one challenge alone, and which bytes are asked for is not known beforehand:
//
//	key     the nonce, 32 random bytes
//	digest  HMAC with SHA-256 over, in this order:
//	          "keyladder attestation 1" and a line feed
//	          the number of ranges, and each range's offset and length, 8 bytes each, big-endian
//	          the findings, one byte ([Findings.Code])
//	          the bytes of each range
//
// # How many bytes
//
// A range begins anywhere in the package, with the same chance, and goes on at the beginning where
// the package ends in the middle of it. So every byte has the same chance to be looked at, the first
// and the last as well. One range of l bytes misses a byte of a package of s bytes with the
// probability 1-l/s, and n of them with
//
//	(1 - l/s)^n
//
// ([Challenge] is made with n and l; [Missed] is that number). Sixty-four ranges of 4 KiB are 256 KiB,
// whatever the size of the package is: so the cost does not grow with it, and the chance that a
// change of one byte is missed does. Programs of many bytes differ from each other in many bytes, and
// an app asks again every minute.
//
// # What it is worth
//
// The verifier learns that whoever answered has the package, and nothing about what is running. A
// program of somebody's own answers out of the genuine package file just as well. Software alone
// cannot do better: what measures the app has to be out of reach of whoever owns the device.
package attestation
