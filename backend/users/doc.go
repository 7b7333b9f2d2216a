// Package users knows the people who sign in: the bank's customers, and those who work
// for it.
//
// A password is checked with Argon2id, which is made to be slow and to take memory, so
// that a stolen list of hashes is of little use. Both cuts the other way, too: whoever
// tries passwords makes the server work. So
//
//   - only a few passwords are checked at a time, and only some more wait ([ErrBusy]);
//   - a user who does not exist costs what one who does costs, so that the time does not
//     tell names from inventions;
//   - failed attempts slow down those that follow, other than on the devices on which a
//     user has signed in before (see throttle.go).
//
// Users come from a file of the deployment and do not change while the server runs. Where
// they have signed in is in the database.
package users
