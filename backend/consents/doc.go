// Package consents remembers which user allows which client what, at which stage.
//
// A consent is widened when its user allows more, and never narrowed: it ends when it is
// withdrawn. The codes and tokens that came of it have to end then, too, and are kept elsewhere. The order matters, so
// that nothing is made anew in between:
//
//  1. withdraw the consent: from now on nobody gets a code without being asked
//  2. cancel the codes that were not redeemed yet (package codes)
//  3. end the families of refresh tokens (package refresh)
//  4. end the access tokens (package tokens)
//
// A code that was issued while the consent was being withdrawn is refused where the mint of its
// tokens asks [Store.GrantedIn], in its own transaction.
package consents
