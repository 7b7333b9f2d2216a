// Package providers keeps what the mediator knows about the authorization servers whose client it
// is: endpoints, how to authenticate, whether PKCE exists, how scopes are spelled, what tokens are,
// and who a user is. It is data ([manage.Provider]), which an admin adds and changes while the
// mediator runs, and no app knows any of it.
//
// Each change makes a version, and the old ones are kept for people to read. Which one is in force
// is in memory. A feed in the database tells it to all mediators that share the database, so each
// uses a change within a second.
package providers
