// Package manage is the administration: what the bank's servers know is shown, and changed
// through their management API.
//
//	GET  /apps, POST /apps                apps with their keys; register one
//	POST /apps/run                        the genuine app runs on the phone
//	GET  /apps/{id}, POST /apps/{id}      scopes, limits and usage of one
//	POST /apps/{id}/keys, /apps/{id}/rotate
//	POST /keys/{id}/revoke, /keys/{id}/restore
//	GET  /keys/{id}/secret                what a new secret does to installed apps
//	POST /keys/{id}/secret                rotate it
//	GET  /users
//	POST /users/{user}/sessions/end       all of them
//	POST /users/{user}/failed-sign-ins/clear
//	GET  /sessions, POST /sessions/{id}/end
//	GET  /devices                         ?stage=, ?identifier= (a part of it)
//	POST /devices/{id}/ban, /devices/{id}/allow
//	GET  /releases
//	GET  /packages/{file}                 an app package, as the store hands it out; open to everybody
//	GET  /audit                           ?before=ID
//	GET  /reset, POST /reset
//
// It keeps nothing: all of it belongs to the programs.
package manage

//go:generate go tool templ generate
