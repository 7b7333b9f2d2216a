// Package person is somebody who holds a phone: a name, a password, and what they do
// with the bank's app.
//
// A person signs in wherever the app has them do it, and sees that on its screen: the app
// asks for name and password itself, or it opens a page in the user agent, and then the
// password goes into that page and not into the app (RFC 8252, section 8.12: an app that
// shows the page itself could read what is typed into it).
//
//   - signin.go: signing in, in the app or on a page
//   - browser.go: signing in with a browser that is on no phone
//   - exercise.go: what the app's users do, one thing after the other
//   - people.go: the workshop's people, whose passwords lie in a file
package person
