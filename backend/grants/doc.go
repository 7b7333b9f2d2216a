// Package grants is the token endpoint (RFC 6749, section 3.2): it gives an access token to
// whoever shows a grant.
//
// All grants pass the same phases, in this order, and none can leave one out:
//
//	form          read the parameters, each once
//	client        which client is it?
//	grant         is that grant offered here, at this stage?
//	owner         the grant's own part: whose rights are given to the client?
//	scope-wanted  what do request, client and owner have in common?
//	              issue the token
//
// What a grant adds is a [Grant], with the one phase that differs. Which grants there are says
// the stage. The routes are
//
//	POST /v1/token    get a token
//	POST /v1/revoke   give it back (RFC 7009)
package grants
