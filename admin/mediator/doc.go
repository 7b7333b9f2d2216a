// Package mediator is the pages about the mediator: the providers whose client it is, and the gateway
// that it is in front of the API. The sessions that come of sign-ins there are on the pages of package admin/manage.
//
//	GET  /mediator/providers               all; POST adds one
//	GET  /mediator/providers/{name}        one, with what was changed; POST changes it as a whole
//	POST /mediator/providers/{name}/adjust ?version=, and what is another: ?pkce=, ?client_auth=, ?announces_iss=
//	GET  /mediator/providers/{name}/disable  asks; POST offers it to nobody
//	POST /mediator/providers/{name}/enable
//	GET  /mediator/gateway                 routes, the API behind it, the firewall, a third party's rates
//	POST /mediator/gateway/waf             switches the firewall
//
// It keeps nothing: all of it belongs to the mediator.
package mediator

//go:generate go tool templ generate
