// Package manage is the management API: what the admin UI and the workshop runner ask
// of the running programs, on a listener of its own, over mutual TLS.
//
// Routes of every program:
//
//	GET  /health           200 when the program can do its work
//	GET  /metrics          Prometheus metrics
//	GET  /traffic          records of traffic: a feed, which see (package feed)
//	GET  /traffic/end      the cursor of a reader that has read them all
//	POST /traffic/clear    drop all messages
//
// Routes of the resource server:
//
//	GET  /apps                      all apps with their keys
//	POST /apps                      register an app ([App] without keys); its first key equals its ID
//	PATCH /apps/{id}                change name, user_agent, scopes, tier, per_second, burst ([AppChange])
//	POST /apps/{id}/keys            issue a further key; answers with the [Key]
//	POST /apps/{id}/rotate          issue a key and revoke all others
//	GET  /tiers                     [Tier], the smallest first
//	PATCH /tiers/{name}             change per_second, burst ([TierChange]) of all apps in it
//	POST /keys/{id}/revoke          refuse it from now on
//	POST /keys/{id}/restore         accept it again
//	POST /keys/{id}/secret          make a new [Secret]; the old one is dead at once
//	GET  /keys/{id}/secret          [Secret], for packing a release of the app
//	GET  /users                     [UserQuery]: [UserList]
//	POST /users/{name}/sessions/revoke
//	POST /users/{name}/failed-sign-ins/clear
//	GET  /sessions                  [SessionQuery], those that are good now: [SessionList]
//	POST /sessions/{id}/revoke
//	POST /sessions/revoke           [SessionSelection]: end them; answers with [Changed]
//	GET  /tokens                    [TokenQuery]: [TokenList]
//	POST /tokens/revoke             [TokenSelection]: end them; answers with [Changed]
//	POST /tokens/examine            [TokenToExamine]: what each check says of it; answers with a [TokenExamination]
//	GET  /tokens/{id}/calls         what was done with it: [TokenCall], the latest first
//	GET  /revocation-checks         [RevocationCheck], a stage each
//	POST /stages/{slug}/revocation-check/off  serve access tokens although they were revoked, until it is on again
//	POST /stages/{slug}/revocation-check/on
//	GET  /signing-keys              [SigningKey], by stage, the newest first
//	POST /stages/{slug}/signing-keys  make a new [SigningKey]; the one before is good for a while
//	POST /signing-keys/{id}/withdraw  refuse what it has signed from now on
//	GET  /devices                   [DeviceQuery]: [DeviceList]
//	POST /devices/{id}/ban          refuse its calls from now on
//	POST /devices/{id}/allow        serve them again
//	POST /devices/ban               [DeviceSelection]: the same for many; answers with [Changed]
//	POST /devices/allow             [DeviceSelection]
//	POST /devices/remove            [DeviceSelection]: forget them; answers with [Changed]
//	POST /workshop                  [Installation]s: they, and the sessions on them, are the workshop's; answers with [Changed]
//	GET  /usage                     ?days=N (30): [Usage], newest day first
//	GET  /usage/sources             ?kind=user, address or agent, ?days=N (14), ?stage=, ?app=, ?search=, ?from=N and
//	                                ?limit=N (50): [SourceList], those with most calls first
//	GET  /ledger                    [Ledger]
//	GET  /transfers                 ?reference=R (exact) or the latest ?limit=N (50): [Transfer], newest first
//	GET  /accesslog                 the latest lines of the access log, oldest first, as a JSON list
//	POST /reset                     ledger, apps, secrets and usage as they were seeded; no sessions, devices or failed sign-ins
//
// Routes of the authorization server: those on /apps, /tiers, /keys, /tokens, /signing-keys, /users
// and /usage as above, but for further keys, sessions and what was done with a token; and
//
//	POST /users/{name}/end          end all that came of the user's sign-ins, and those that are under way
//	GET  /families                  [FamilyQuery]: [FamilyList]
//	POST /families/revoke           [FamilySelection]: end them and the access tokens that came of them; answers with [Changed]
//	GET  /consents                  [ConsentQuery]: [ConsentList]
//	POST /consents/withdraw         [ConsentSelection]: and end all that came of them; answers with [Changed]
//	POST /reset                     clients, secrets and usage as they were seeded; nothing that came of sign-ins, and new signing keys
//
// and, for the resource server, feeds of what it has to know (packages clients and tokens).
//
// Routes of the mediator: those on /tokens and /signing-keys as above, but for what was done with a
// token, for those that it issues; that on /usage, for the calls that it has decided about; those on
// providers ([ProvidersPath]), on sign-ins at them ([MediatorSessionsPath]) and on the gateway
// ([GatewayPath]); and
//
//	POST /reset                     providers as they were seeded; nothing that came of sign-ins, and new signing keys; no usage, and no firewall
//
// Routes of the rates API: that on /usage, [QuotasPath], and
//
//	POST /reset                     nothing is used of the quotas
//
// Routes of the phone:
//
//	GET  /phone            [Phone]
//	POST /phone/pairings   make a code that pairs a browser with the screen: [Pairing]
//	POST /phone/stage      {"stage": slug}: the stage that the phone uses
//	POST /phone/run        {"stage": slug, "reference": text}: the genuine app fetches rates and accounts
//	                       and makes a transfer of 1.00 with that reference; answers with a [Run]
//
// Routes of the attacker's station:
//
//	POST /genuine          {"stage", "reference", "strictly"}: the same on a fresh device of the victim;
//	                       strictly: and calls that the stage must refuse: [Run]
//	POST /installations/take  which [Installation]s were made since this was asked last
//	POST /attack           [Brief]: carry out one attack; answers with a [Report]
//	POST /calls            [BearerCall]: call as the genuine app does, but with that token; answers with a [BearerAnswer]
//
// Long lists are sorted and cut by the server ([Part]): ?sort=seen or ?sort=-seen, ?from=N and
// ?limit=N ([MostListed]), and ?search= and other filters by the names of the query's members.
//
// Errors are problems (RFC 9457). Each route says which roles may call it ([Server.For]): a
// program's own certificate opens /health and /metrics, the phone's its own /phone/pairings,
// and that of the role admin opens all.
package manage
