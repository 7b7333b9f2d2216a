package catalog

// declared are all values of the policies' fields that have names, with the words in which
// people read them. A value that is not here is unknown everywhere: see [Policies.Unknown].
var declared = values(
	of[Transport](
		Value[Transport]{PlainHTTP, "plain HTTP, readable by whoever carries it", off},
		Value[Transport]{TLS, "TLS, the server shows a certificate", on},
		Value[Transport]{MutualTLS, "mutual TLS, the app shows a certificate too", on},
	),
	of[Pins](
		Value[Pins]{NotPinned, "any that the device's trust store vouches for", off},
		Value[Pins]{Pinned, "only those that the app was shipped with", on},
	),
	of[AppProof](
		Value[AppProof]{NoAppProof, "none", off},
		Value[AppProof]{AppKey, "its ID, sent as a key with each call", on},
		Value[AppProof]{Hawk, "a Hawk MAC over each call, made with a secret that never travels", on},
		Value[AppProof]{IntegrityToken, "a client integrity token, with which an attestation service says that the app is the genuine one", on},
	),
	of[KeyPlace](
		Value[KeyPlace]{NoKeySent, "nowhere: it sends none", off},
		Value[KeyPlace]{KeyInField, "in the Authorization field", on},
		Value[KeyPlace]{KeyInPublicURLs, "in the URL of public data, in the Authorization field of everything else", on},
	),
	of[Nonces](
		Value[Nonces]{NoNonces, "none: calls are not signed", off},
		Value[Nonces]{NoncesForgotten, "not remembered, so a call can be repeated for as long as its timestamp is good", off},
		Value[Nonces]{NoncesRemembered, "remembered: each is good once", on},
	),
	of[Bodies](
		Value[Bodies]{PlainBodies, "readable wherever TLS ends", off},
		Value[Bodies]{SealedBodies, "encrypted inside TLS too, under a key made from the app's secret", on},
		Value[Bodies]{SealedPortions, "accounts, amounts and keys in them encrypted inside TLS too, under a key made from the app's secret; the rest readable wherever TLS ends", on},
	),
	of[Devices](
		Value[Devices]{NoDevices, "not told apart", off},
		Value[Devices]{RegisteredDevices, "registered one by one, so that one of them can be banned", on},
	),
	of[UserProof](
		Value[UserProof]{NoUser, "none: the API knows apps only", off},
		Value[UserProof]{UserSession, "a session key, got for the password at sign-in and different each time", on},
		Value[UserProof]{AccessToken, "an access token, which says who the user is and is signed by its issuer", on},
	),
	of[UserKey](
		Value[UserKey]{NoUserKey, "nowhere: no user has one", off},
		Value[UserKey]{UserKeyInMemory, "in its memory, so that the user signs in at each start of the app", on},
		Value[UserKey]{UserKeyInStorage, "in its storage, so that the user stays signed in; it is in each copy of the storage, too", on},
	),
	of[Binding](
		Value[Binding]{NotBound, "none", off},
		Value[Binding]{SessionOfApp, "a session is good in the app that it was opened with, and in no other", on},
		Value[Binding]{SessionOfDevice, "a session is good in the app and on the device that it was opened with, and on no other", on},
		Value[Binding]{SessionOfCall, "a session is good in the app and on the device that it was opened with; each call is signed with its user and device, and good with no others", on},
		Value[Binding]{TokenOfClient, "an access token is good with the client that it was issued to, and with no other", on},
		Value[Binding]{TokenOfCall, "an access token is good with the client that it was issued to; each call is signed with its token, and good with no other", on},
		Value[Binding]{TokenOfDevice, "an access token is good with the client and on the device that it was issued to, and with no others", on},
		Value[Binding]{TokenOfKey, "an access token is good with the client, the device and the key in its secure hardware that it was issued to, and with no others", on},
	),
	of[Sender](
		Value[Sender]{AnySender, "none: whoever has the tokens can call", off},
		Value[Sender]{DPoPProofs, "a proof for each call, good once, that the device's key has signed (DPoP)", on},
		Value[Sender]{SignedMessages, "a signature with the device's key over the call itself, good once; the answer is signed, too", on},
	),
	of[UserAgents](
		Value[UserAgents]{AnyUserAgent, "any", off},
		Value[UserAgents]{RegisteredUserAgents, "only those of registered apps", on},
	),
	of[RateLimits](
		Value[RateLimits]{UnlimitedRates, "none", off},
		Value[RateLimits]{LimitedRates, "per address and per app", on},
	),
	of[KeyInURL](
		Value[KeyInURL]{KeyInURLAccepted, "accepted", off},
		Value[KeyInURL]{KeyInURLRefused, "refused", on},
	),
	of[Authorization](
		Value[Authorization]{NotAuthorized, "everything", off},
		Value[Authorization]{AppScopes, "what the app may do", on},
		Value[Authorization]{AppAndUser, "what both the app and the user may do, with the user's own accounts", on},
		Value[Authorization]{AppUserToken, "what the app and the user may both do and the token is good for, with the user's own accounts", on},
	),
	of[Partners](
		Value[Partners]{NoPartners, "not served", off},
		Value[Partners]{PartnersByCertificate, "known by their client certificates alone", on},
	),
	of[Issuer](
		Value[Issuer]{NoIssuer, "nobody: there are none", off},
		Value[Issuer]{ResourceServer, "the resource server itself", on},
		Value[Issuer]{AuthServer, "an authorization server of its own", on},
		Value[Issuer]{MediatorIssuer, "the mediator, which has its users prove themselves to providers", on},
		Value[Issuer]{LiteServer, "another company's authorization server", on},
	),
	of[Grants](
		Value[Grants]{NoGrants, "none: there are no access tokens", off},
		Value[Grants]{PasswordGrant, "password: the app passes on the user's name and password, once", on},
		Value[Grants]{ImplicitGrant, "implicit: the user signs in on a page in the user agent, and the token comes back in the redirect", on},
		Value[Grants]{CodeGrant, "authorization code: the user signs in on a page in the user agent, a code comes back in the redirect, and the app exchanges it", on},
		Value[Grants]{CodeAndRefresh, "authorization code, and refresh tokens: each of these is good once and brings the next", on},
	),
	of[ClientAuth](
		Value[ClientAuth]{NoClientAuth, "not at all: it says which it is", off},
		Value[ClientAuth]{ClientSecret, "with the client secret", on},
		Value[ClientAuth]{ServersSecret, "with a client secret that the bank's servers share and no app carries", on},
		Value[ClientAuth]{Mediated, "not itself: a mediator looks at its client integrity token, and adds the client secret", on},
		Value[ClientAuth]{ByIntegrity, "with the app's client integrity token", on},
		Value[ClientAuth]{ByAttestation, "with an attestation of the app, and a proof that it has the key in it", on},
		Value[ClientAuth]{SecretInBody, "with the client secret, in the body alone", on},
	),
	of[PKCE](
		Value[PKCE]{NoPKCE, "nothing", off},
		Value[PKCE]{PlainPKCE, "a verifier that the app makes up each time, and shows in its request already (PKCE, plain)", on},
		Value[PKCE]{S256PKCE, "a verifier that the app makes up each time, and of which its request shows the hash alone (PKCE, S256)", on},
	),
	of[Providers](
		Value[Providers]{OneProvider, "the bank's: there is no other", off},
		Value[Providers]{ChosenInApp, "the bank's or another company's, as the user chooses in the app", on},
		Value[Providers]{ChosenAtMediator, "the bank's or another company's, as the user chooses on a page of the mediator; the app knows the mediator alone", on},
	),
	of[Gateway](
		Value[Gateway]{Direct, "leads straight there", off},
		Value[Gateway]{ThroughGateway, "leads through the mediator, which lets good calls through, and nobody else gets in", on},
	),
	of[TokenForm](
		Value[TokenForm]{NoTokenForm, "nothing: there are none", off},
		Value[TokenForm]{JWTs, "JWTs, which whoever has the key can check", on},
		Value[TokenForm]{OpaqueTokens, "random text; what one stands for its issuer alone can say", on},
	),
	of[Rotation](
		Value[Rotation]{NotRefreshed, "are not issued", off},
		Value[Rotation]{Rotated, "are good once each, and bring the next", on},
		Value[Rotation]{Reusable, "are good until they expire, as often as they are used", on},
	),
	of[Answers](
		Value[Answers]{StandardAnswers, "as OAuth names them", off},
		Value[Answers]{OddAnswers, "in words of its own: expires in place of expires_in", on},
	),
	of[Requests](
		Value[Requests]{NoRequests, "not at all: nobody signs in on a page", off},
		Value[Requests]{RequestsInURL, "through the user agent, in the address of the page", on},
		Value[Requests]{PushedRequests, "from the app itself, before the page is opened; the user agent carries a reference", on},
	),
	of[Redirects](
		Value[Redirects]{NoRedirects, "not at all: nobody is redirected", off},
		Value[Redirects]{ExactRedirects, "byte for byte", on},
		Value[Redirects]{PrefixRedirects, "as far as the registered one goes: whatever follows is accepted", on},
	),
	of[Responses](
		Value[Responses]{NoResponses, "not at all: nobody is redirected", off},
		Value[Responses]{NamedResponses, "yes, by iss", on},
		Value[Responses]{UnnamedResponses, "no", on},
	),
	of[TokenLife](
		Value[TokenLife]{NoTokens, "not at all: there are none", off},
		Value[TokenLife]{LongLivedTokens, "long: the user signs in anew when one has expired", on},
		Value[TokenLife]{ShortLivedTokens, "short: the app gets another one when one has expired, and the user notices nothing", on},
	),
	of[Revocations](
		Value[Revocations]{NoRevocations, "none: there are no access tokens", off},
		Value[Revocations]{RevokedServed, "served until they expire: nobody looks", off},
		Value[Revocations]{RevokedRefused, "refused, by every server", on},
	),
	of[Level](
		Value[Level]{NotAttested, "none", off},
		Value[Level]{PackageHash, "the hash of the app's package, as the app reports it", on},
		Value[Level]{PackageChallenge, "the hash of the app's package, bytes of it that are asked for anew each time, and what the app finds out about its surroundings", on},
		Value[Level]{DeviceEvidence, "evidence that the device's secure hardware signs: which package it has launched, which system it has started, and which key the app has", on},
	),
	of[Claim](
		Value[Claim]{NotLookedAt, "not looked at", off},
		Value[Claim]{Watched, "watched: what is wrong is counted, and the app is served", on},
		Value[Claim]{Enforced, "enforced: where something is wrong the app gets no good token", on},
	),
	of[Secrets](
		Value[Secrets]{NoSecrets, "there are none", off},
		Value[Secrets]{ClearSecrets, "in the clear, under names that say what they are", off},
		Value[Secrets]{HiddenSecrets, "encoded, cut up and scattered; put together in memory only", on},
	),
)
