// Package grants is the token endpoint (RFC 6749, section 3.2): it gives an access token to
// whoever shows a grant.
//
// All grants pass the same phases, in this order, and none can leave one out:
//
//	form          read the parameters, each once
//	client        which client is it?
//	grant         is that grant offered here, at this stage?
//	              the grant's own part: whose rights are given to the client? What it uses up, a
//	              code or a refresh token, it claims in the transaction that makes the tokens
//	scope-wanted  what do request, client and owner have in common?
//	              issue the token, and where the stage has it, a refresh token
//
// A grant adds a [Grant], with the one phase that differs. The stage says which grants there
// are. The resource server has the password grant under /v1/token, the authorization
// server all others. The endpoints for revocation (RFC 7009) and introspection (RFC 7662) are
// here as well.
package grants
