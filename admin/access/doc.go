// Package access decides who may use the admin UI, and writes down what they do with it.
//
//	GET  /sign-in, POST /sign-in
//	POST /sign-out
//
// It owns the admin's password, the admin sessions and the audit log (tables of admin.db),
// and slows down the guessing of passwords. All other parts of the UI put their handlers
// behind [Gate.SignedIn], take their pages from [Gate.Page] and carry out changes with
// [Gate.Act].
package access

//go:generate go tool templ generate
