// Package oauth is what the endpoints of OAuth 2.0 share: forms, clients and errors.
//
// Every refusal says which check made it and why, for the record of traffic, and is written as
// RFC 6749, section 5.2, has it, by [problem.OAuth].
package oauth
