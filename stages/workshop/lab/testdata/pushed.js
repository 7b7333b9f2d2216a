// A client of an authorization server that takes pushed requests alone, and these from attested apps,
// written with the package named in the first argument. The second is the settings as JSON. It prints
// the address that the user's browser has to open, reads from a line of its input where that leads
// back to, and then prints what came of everything that it tried.
'use strict';

const { issuer, api, id, redirectURI, agent, integrity, forged } = JSON.parse(process.argv[3]);
const fields = (token) => ({ 'user-agent': agent, ...(token && { 'client-integrity-token': token }) });

// Both packages, under the same few names. What a request carries besides is a field that the caller
// chooses: openid-client takes it from its own way to fetch, and oauth4webapi as an option.
const packages = {
	async 'openid-client'() {
		const oauth = require('openid-client');
		const config = await oauth.discovery(new URL(issuer), id, undefined, oauth.None(), { algorithm: 'oauth2' });
		const as = (token) => {
			config[oauth.customFetch] = (url, options) => fetch(url, { ...options, headers: { ...options.headers, ...fields(token) } });
			return config;
		};
		return {
			metadata: config.serverMetadata(),
			verifier: oauth.randomPKCECodeVerifier(),
			challenge: oauth.calculatePKCECodeChallenge,
			push: (token, parameters) => oauth.buildAuthorizationUrlWithPAR(as(token), parameters),
			redeem: (token, callback, state, verifier) => oauth.authorizationCodeGrant(as(token), callback, { expectedState: state, pkceCodeVerifier: verifier }),
			refresh: (token, refresh) => oauth.refreshTokenGrant(as(token), refresh),
			revoke: (token, refresh) => oauth.tokenRevocation(as(token), refresh, { token_type_hint: 'refresh_token' }),
			call: (token, access) => oauth.fetchProtectedResource(as(token), access, new URL(api + '/accounts'), 'GET'),
		};
	},
	async oauth4webapi() {
		const oauth = require('oauth4webapi');
		const client = { client_id: id };
		const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2' }));
		const none = oauth.None();
		return {
			metadata: as,
			verifier: oauth.generateRandomCodeVerifier(),
			challenge: oauth.calculatePKCECodeChallenge,
			async push(token, parameters) {
				const response = await oauth.pushedAuthorizationRequest(as, client, none, parameters, { headers: fields(token) });
				const pushed = await oauth.processPushedAuthorizationResponse(as, client, response);
				const url = new URL(as.authorization_endpoint);
				url.search = new URLSearchParams({ client_id: id, request_uri: pushed.request_uri });
				return url;
			},
			async redeem(token, callback, state, verifier) {
				const parameters = oauth.validateAuthResponse(as, client, callback, state);
				const response = await oauth.authorizationCodeGrantRequest(as, client, none, parameters, redirectURI, verifier ?? oauth.nopkce, { headers: fields(token) });
				return oauth.processAuthorizationCodeResponse(as, client, response);
			},
			async refresh(token, refresh) {
				return oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, none, refresh, { headers: fields(token) }));
			},
			async revoke(token, refresh) {
				return oauth.processRevocationResponse(await oauth.revocationRequest(as, client, none, refresh, { headers: fields(token) }));
			},
			call: (token, access) => oauth.protectedResourceRequest(access, 'GET', new URL(api + '/accounts'), new Headers(fields(token))),
		};
	},
};

// outcome is "ok", or the error that the server answered; of a challenge, its scheme; and where it was
// the package that refused the answer, the code of that.
async function outcome(promise) {
	try {
		await promise;
		return 'ok';
	} catch (err) {
		if (err.code === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE') return `${err.status} ${err.cause[0].scheme}`;
		return err.error ?? err.cause?.error ?? err.cause?.code ?? err.code ?? String(err.stack ?? err);
	}
}

const status = async (promise) => {
	try {
		return String((await promise).status);
	} catch (err) {
		return String(err.status ?? err.cause?.status ?? err);
	}
};

(async () => {
	const oauth = await packages[process.argv[2]]();
	const state = 'a state & more';
	const { verifier } = oauth;
	const request = {
		response_type: 'code', redirect_uri: redirectURI, client_id: id, state, scope: 'rates:read accounts:read',
		code_challenge: await oauth.challenge(verifier), code_challenge_method: 'S256',
	};
	const said = {
		methods: oauth.metadata.code_challenge_methods_supported.join(),
		pushes: oauth.metadata.require_pushed_authorization_requests,
		announces: oauth.metadata.authorization_response_iss_parameter_supported,
		nobody: await outcome(oauth.push(undefined, request)),
		forged: await outcome(oauth.push(forged, request)),
		plain: await outcome(oauth.push(integrity, { ...request, code_challenge_method: 'plain' })),
	};
	console.log((await oauth.push(integrity, request)).href);
	const link = await new Promise((resolve) => require('readline').createInterface({ input: process.stdin }).once('line', resolve));
	const callback = new URL(link);
	const without = new URL(link);
	without.searchParams.delete('iss');
	said.unnamed = await outcome(oauth.redeem(integrity, without, state, verifier));
	said.unproven = await outcome(oauth.redeem(undefined, callback, state, verifier));
	said.unbound = await outcome(oauth.redeem(integrity, callback, state));
	said.another = await outcome(oauth.redeem(integrity, callback, state, verifier.split('').reverse().join('')));
	const first = await oauth.redeem(integrity, callback, state, verifier);
	said.scope = first.scope;
	said.call = await status(oauth.call(integrity, first.access_token));
	said.alone = await status(oauth.call(undefined, first.access_token));
	const second = await oauth.refresh(integrity, first.refresh_token);
	said.rotated = second.refresh_token !== first.refresh_token;
	said.renewed = await status(oauth.call(integrity, second.access_token));
	await oauth.revoke(integrity, second.refresh_token);
	said.revoked = await outcome(oauth.refresh(integrity, second.refresh_token));
	said.again = await outcome(oauth.redeem(integrity, callback, state, verifier));
	console.log(JSON.stringify(said));
	process.exit(0);
})().catch((err) => {
	console.error(err);
	process.exit(1);
});
