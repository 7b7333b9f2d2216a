// Package server puts the admin UI together and serves it. It owns admin.db, and adds to
// the routes of the packages access, workshop, traffic, jobs, manage, attestation, usage and upkeep:
//
//	GET  /healthz                         200 when the UI can do its work
//	GET  /workshop-ca.pem                 the certificate that curl and browsers need for the API
//	GET  /assets/{file}                   stylesheet, script and icon
//
// These three, packages and the sign-in page are open to everybody; all else is for the
// admin, signed in.
//
// The UI owns the admin's password, the sessions and the audit log (admin.db). All else
// belongs to the programs, which it asks through their management API, or lives in memory
// until the process ends: the traffic that was heard, jobs and their results.
//
// Every page works without JavaScript. The one script polls for what is new. All of it is
// there under local names only: others are refused with 421.
package server
