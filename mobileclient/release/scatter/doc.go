// Package scatter hides bytes in an app's package, and finds them again.
//
// # What it is for
//
// A value that lies in a package under the name SHARED_SECRET is published. There is no way to
// keep a secret from whoever has the program that uses it, but it can be made work to
// find: `strings`, a search for base64 or for PEM, and a look at the assets should bring up
// nothing.
//
// # How
//
//  1. Encode: what is to be hidden is XORed with a stream of numbers that only looks
//     random.
//  2. Cut: the result is cut into segments of [segment] bytes.
//  3. Scatter: the segments become pixels of pictures that every app could have, paper
//     grain to lay behind a page. Grain is noise, and so is what was encoded. Which segment
//     goes where comes from the same numbers; the pixels between them are noise as well.
//
// The numbers come from a constant of the program and from the first row of each picture,
// which holds no segments and is random. So no two packages have a segment in the same
// place, and a tool that was made for the last release finds nothing in the next one.
//
// [Gather] does the same backwards, in memory. Nothing is written anywhere. [Bundle] and
// [Unbundle] do it for the settings of an app.
//
// # What it is worth
//
// Time. The constant and the procedure are in the program, which is in the package: whoever
// reads the code with a disassembler, or just lets it run and looks at its memory,
// has it all. An obfuscator (mvdan.cc/garble) adds more time, as long as the same code is
// not in another program in the clear. So the programs of earlier releases, which have
// nothing to find, do without this package.
//
// Nor does it keep anybody from replacing what is hidden, once it is understood: the
// checksum is there to notice damage, and proves nothing.
package scatter
