// Package upkeep is the pages about the deployment as a whole: what is published and installed, what
// admins did, and how to start over.
//
//	GET  /releases
//	GET  /packages/{file}                 an app package, as the store hands it out; open to everybody
//	GET  /audit                           ?search=, ?outcome=, as all lists
//	GET  /reset, POST /reset
package upkeep

//go:generate go tool templ generate
