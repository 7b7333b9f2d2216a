// Package web is the browser UI of a Keyladder deployment: the workshop's screen and
// its administration.
//
// Open to everybody:
//
//	GET  /healthz                         200 when the UI can do its work
//	GET  /workshop-ca.pem                 the certificate that curl and browsers need for the API
//	GET  /packages/{file}                 an app package, as the store hands it out
//	GET  /assets/{file}                   stylesheet, script and icon
//	GET  /sign-in, POST /sign-in
//
// For the admin, signed in:
//
//	POST /sign-out
//	GET  /stages                          the ladder
//	GET  /stages/{stage}                  narrative, what changed, attacks, sequence diagram
//	POST /stages/{stage}/run              the genuine app runs there, on the phone
//	POST /stages/{stage}/phone            the phone uses this stage from now on
//	GET  /traffic                         ?stage=, three lanes, newest first
//	GET  /traffic/rows                    ?after=ID: what came since, as table rows; waits for it
//	GET  /traffic/{id}                    one message, opened
//	POST /traffic/clear
//	GET  /matrix                          expected and measured
//	POST /matrix/run                      all attacks at the chosen stages
//	GET  /matrix/{stage}/{attack}         a cell: outcome, steps, evidence
//	POST /matrix/{stage}/{attack}/run
//	GET  /jobs/{id}                       ?after=N: how far a job is, as a piece of a page, and the cells
//	                                      of the matrix that it has filled but the first N
//	GET  /apps, POST /apps                apps with their keys; register one
//	POST /apps/run                        the genuine app runs on the phone
//	GET  /apps/{id}, POST /apps/{id}      scopes, limits and usage of one
//	POST /apps/{id}/keys, /apps/{id}/rotate
//	POST /keys/{id}/revoke, /keys/{id}/restore
//	GET  /keys/{id}/secret                what a new secret does to installed apps
//	POST /keys/{id}/secret                rotate it
//	GET  /users
//	POST /users/{user}/sessions/end       all of them
//	GET  /sessions, POST /sessions/{id}/end
//	GET  /devices                         ?stage=, ?identifier= (a part of it)
//	POST /devices/{id}/ban, /devices/{id}/allow
//	POST /run                             the genuine app runs on the phone; back to the page that asked
//	GET  /releases
//	GET  /audit                           ?before=ID
//	GET  /reset, POST /reset
//
// The package owns the admin's password, the sessions and the audit log (admin.db). All
// else belongs to the programs, which it asks through their management API, or lives in
// memory until the process ends: the traffic that was heard, jobs and their results.
//
// Every page works without JavaScript. The one script polls for what is new. All of it is
// there under local names only: others are refused with 421.
package web

//go:generate go tool templ generate
