// Package sessions keeps the sessions of signed-in users.
//
// A session belongs to one user, one app, one stage and one device (the guard's check
// "binding" compares them), and lasts until it was idle for too long, got too old, was
// signed out or was revoked. Its key is known to the app alone: what is kept is the key's
// SHA-256 (package session says why that is enough).
//
// Every call at the stages with sessions asks for one, so all of them are in memory. A
// new one is written to the database before its key is handed out, and an ended one is
// deleted there before it is forgotten: what was revoked stays revoked, whatever happens
// next. When a session was last used changes with every call; it is written each second by
// [Store.Flush], which removes expired sessions as well. A server that is killed forgets
// about one second of use, so a session may end that much too early, and never too late.
package sessions
