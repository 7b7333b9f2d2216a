// Package oauthclient is the mediator as a confidential client of providers (RFC 6749), each as it is
// described ([manage.Provider]): it makes authorization requests, trades codes and refresh tokens,
// finds out who the user is, and gives tokens back (RFC 7009).
//
// Nothing here knows one provider from another. The answers of providers are read strictly: an answer
// that is not understood is an error, and never a user.
package oauthclient
