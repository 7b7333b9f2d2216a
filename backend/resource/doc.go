// Package resource is the resource server: Harbour Bank's API.
//
// The same routes are there under every stage, /{stage}/…, each with the scope that an app
// needs for it; where the stage proves users, the user needs it, too:
//
//	GET    /v1/rates                     rates:read        exchange rates; needs no user
//	GET    /v1/accounts                  accounts:read     all accounts that the caller may see
//	GET    /v1/accounts/{id}             accounts:read     one of them
//	GET    /v1/accounts/{id}/transfers   accounts:read     its latest transfers
//	POST   /v1/transfers                 transfers:write   book a transfer
//	POST   /v1/accounts/{id}/freeze      accounts:freeze   freeze or thaw an account
//	POST   /v1/devices                   any app           register the app's installation, where the stage wants that
//	POST   /v1/session                   any app           sign a user in, with Basic, where the stage has sessions
//	DELETE /v1/session                   any app           sign out
//	GET    /partner/v1/settlements       settlements:read  what a partner was paid, day by day; for partners' servers,
//	                                                       with mutual TLS, where the stage serves them
//
// They come in on four listeners: plain HTTP, TLS with client certificates if given, TLS from a
// terminator that has proven itself and speaks for its clients, and TLS from the gateway, which has
// looked at the callers itself (package gateway). Package guard decides what
// a call needs before any handler runs, and package ledger what money may do; who may call is kept by registry, devices, users and sessions. Handlers
// only read requests and write answers.
//
// The package owns the server's database, its access log and its metrics, and serves its
// part of the management API (package manage) on a fifth listener.
package resource
