// Package usage shows who called what, how often: as charts and tables that other pages have, and
//
//	GET  /callers                         users, addresses and user agents: ?kind=, ?stage=, ?app=, ?search=, ?from=
package usage

//go:generate go tool templ generate
