// Package exposure says what can be stolen, and how many calls that buys, for how long, as it was
// measured: once somebody has got hold of something at a position, and without that position from then
// on. `stages exposure` measures it, and `stages readme` writes the table that is embedded here.
package exposure
