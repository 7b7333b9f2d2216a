// Package confine starts apps with no more than they need. An app is a program of somebody else's,
// which runs as the user of the phone. On Linux it is confined with what needs no rights of its own:
//
//   - Landlock: it reads no files but libraries and what the system tells about itself, writes
//     none, and reaches no process but its own;
//   - a filter of system calls (seccomp_linux.go): it makes no connection by itself;
//   - no program that it starts gets more rights than it has (no_new_privs);
//   - where the phone runs as root, it has none of root's capabilities;
//   - bounds on memory and descriptors, and no core dumps;
//   - a process group of its own, and the end together with the phone.
//
// [Weaknesses] says what a machine can't keep apps from. The phone itself, which attacks run in, is not
// confined: a debugger of the phone's still reaches the app.
package confine
