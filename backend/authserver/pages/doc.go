// Package pages renders what Harbour Bank's authorization server shows to resource owners:
// signing in, consent, the consents that somebody gave, and problems.
//
// It renders and does nothing else: what a page shows comes in a struct, and what is filled in
// goes to an address that the struct names. [SignIn] sends [FieldName] and [FieldPassword],
// [Consent] sends [FieldDecision], and all forms send the hidden fields that they were given.
//
// The pages hold no script, no inline style and nothing from elsewhere, so they work under
// [ContentSecurityPolicy]. The first button of a form is the one that goes on: it is what the
// Enter key presses.
package pages
