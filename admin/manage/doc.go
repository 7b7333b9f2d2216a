// Package manage is the administration: what the bank's servers know is shown, and changed
// through their management API.
//
//	GET  /apps, POST /apps                apps with their keys; register one
//	POST /apps/run                        the genuine app runs on the phone
//	GET  /apps/{id}, POST /apps/{id}      scopes, limits and usage of one
//	POST /apps/{id}/keys, /apps/{id}/rotate
//	POST /keys/{id}/revoke, /keys/{id}/restore
//	GET  /keys/{id}/secret                what a new secret does to installed apps
//	POST /keys/{id}/secret                rotate it
//	GET  /users                           ?search=, ?sort=, ?page=, as all lists
//	GET  /users/{user}/sessions/end       asks; POST ends all of them
//	POST /users/{user}/failed-sign-ins/clear
//	GET  /sessions                        ?stage=, ?by= (all, workshop; without it all but the workshop's)
//	GET  /sessions/end                    asks: ?id= (repeatable), or ?all=1 with the list's filter; POST ends them
//	GET  /tokens                          ?stage=, ?state= (revoked, expired, any; without it those that are good)
//	GET  /tokens/revoke                   asks, as for sessions; POST revokes them
//	GET  /tokens/{id}                     one, and what was done with it
//	GET  /revocation-checks/{stage}/off   asks; POST has revoked tokens be served
//	POST /revocation-checks/{stage}/on
//	GET  /signing-keys/{stage}/rotate     asks; POST makes a new key
//	GET  /signing-keys/{id}/withdraw      asks; POST does it
//	GET  /auth/clients, POST /auth/clients  the authorization server's clients; register one
//	GET  /auth/clients/{id}, POST /auth/clients/{id}
//	POST /auth/clients/{id}/revoke, /auth/clients/{id}/restore
//	POST /auth/clients/{id}/secret        show it
//	GET  /auth/clients/{id}/secret/rotate asks; POST makes a new one
//	GET  /auth/users                      with what came of their sign-ins
//	GET  /auth/users/{user}/end           asks; POST ends all of it
//	GET  /auth/consents                   ?stage=
//	GET  /auth/consents/withdraw          asks, as for sessions; POST withdraws them
//	GET  /auth/families                   ?stage=, ?state= (revoked, reused, expired, any; without it those that are good)
//	GET  /auth/families/revoke            asks, as for sessions; POST revokes them
//	GET  /auth/families/{id}              one, as a tree
//	GET  /auth/tokens, /auth/signing-keys and POST /auth/users/{user}/failed-sign-ins/clear as without /auth
//	/lite/…                               all that begins with /auth, of another company's server
//	GET  /mediator/sessions               sign-ins at providers: ?stage=, ?provider=, ?state= (ended, any); keeps itself up to date
//	GET  /mediator/sessions/rows          what came after ?after=, for the page's script
//	GET  /mediator/sessions/end           asks, as for sessions; POST ends them
//	GET  /mediator/sessions/{id}          one, with the family of tokens that came of it
//	GET  /mediator/tokens, /mediator/signing-keys as without /mediator
//	GET  /devices                         ?stage=, ?state=, ?by=
//	POST /devices/{id}/ban, /devices/{id}/allow
//	GET  /devices/ban, /devices/remove    ask, as for sessions; POST does it
//	POST /devices/allow
//
// It keeps nothing: all of it belongs to the programs.
package manage

//go:generate go tool templ generate
