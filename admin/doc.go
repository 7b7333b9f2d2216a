// Admin is the browser UI of a Keyladder deployment: the workshop's screen and its
// administration. See package server for its pages.
package main
