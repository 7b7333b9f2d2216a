// A client of an authorization server that binds tokens to keys, written with the package named in the first
// argument, and with the package dpop. The second argument is the settings as JSON; key is the private key of
// the app, as PKCS #8 in base64, that attestation names. It prints the address that the user's browser has to
// open, reads from a line of its input where that leads back to, and then prints what came of everything
// that it tried.
'use strict';

const { issuer, api, id, redirectURI, agent, integrity, attestation, key } = JSON.parse(process.argv[3]);
const atServer = (shown = attestation) => ({ 'user-agent': agent, ...(shown && { 'oauth-client-attestation': shown }) });
const atAPI = { 'user-agent': agent, 'client-integrity-token': integrity };
const accounts = new URL(api + '/accounts');

// Both packages, under the same few names. Each request is made with a pair of keys.
const packages = {
	async 'openid-client'() {
		const oauth = require('openid-client');
		const config = await oauth.discovery(new URL(issuer), id, undefined, oauth.None(), { algorithm: 'oauth2' });
		config[oauth.customFetch] = (url, options) => fetch(url, { ...options, headers: { ...options.headers, ...(new URL(url).href.startsWith(api) ? atAPI : atServer(config.shown)) } });
		const handles = new Map();
		const by = (keys) => {
			if (!handles.has(keys)) handles.set(keys, oauth.getDPoPHandle(config, keys));
			return { DPoP: handles.get(keys) };
		};
		return {
			metadata: config.serverMetadata(),
			verifier: oauth.randomPKCECodeVerifier(),
			challenge: oauth.calculatePKCECodeChallenge,
			async push(keys, parameters, shown) {
				config.shown = shown;
				return oauth.buildAuthorizationUrlWithPAR(config, parameters, by(keys)).finally(() => { config.shown = undefined; });
			},
			redeem: (keys, callback, state, verifier) => oauth.authorizationCodeGrant(config, callback, { expectedState: state, pkceCodeVerifier: verifier }, undefined, by(keys)),
			refresh: (keys, refresh) => oauth.refreshTokenGrant(config, refresh, undefined, by(keys)),
			call: (keys, access) => oauth.fetchProtectedResource(config, access, accounts, 'GET', undefined, undefined, keys && by(keys)),
		};
	},
	async oauth4webapi() {
		const oauth = require('oauth4webapi');
		const client = { client_id: id };
		const as = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2' }));
		const none = oauth.None();
		const handles = new Map();
		// once more, where the server wants a nonce that it has given with its refusal
		const prove = async (keys, request) => {
			if (keys && !handles.has(keys)) handles.set(keys, oauth.DPoP(client, keys));
			const options = { DPoP: keys && handles.get(keys) };
			try {
				return await request(options);
			} catch (err) {
				if (!oauth.isDPoPNonceError(err)) throw err;
				return request(options);
			}
		};
		return {
			metadata: as,
			verifier: oauth.generateRandomCodeVerifier(),
			challenge: oauth.calculatePKCECodeChallenge,
			async push(keys, parameters, shown) {
				const pushed = await prove(keys, async (options) => oauth.processPushedAuthorizationResponse(as, client, await oauth.pushedAuthorizationRequest(as, client, none, parameters, { headers: atServer(shown), ...options })));
				const url = new URL(as.authorization_endpoint);
				url.search = new URLSearchParams({ client_id: id, request_uri: pushed.request_uri });
				return url;
			},
			redeem(keys, callback, state, verifier) {
				const parameters = oauth.validateAuthResponse(as, client, callback, state);
				return prove(keys, async (options) => oauth.processAuthorizationCodeResponse(as, client, await oauth.authorizationCodeGrantRequest(as, client, none, parameters, redirectURI, verifier, { headers: atServer(), ...options })));
			},
			refresh: (keys, refresh) => prove(keys, async (options) => oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, none, refresh, { headers: atServer(), ...options }))),
			call: (keys, access) => prove(keys, (options) => oauth.protectedResourceRequest(access, 'GET', accounts, new Headers(atAPI), undefined, options)),
		};
	},
};

// outcome is "ok", or the error that the server answered; of a challenge, its scheme.
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

async function appKeys() {
	const algorithm = { name: 'ECDSA', namedCurve: 'P-256' };
	const whole = await crypto.subtle.importKey('pkcs8', Buffer.from(key, 'base64'), algorithm, true, ['sign']);
	const { d, key_ops, ...open } = await crypto.subtle.exportKey('jwk', whole);
	return { privateKey: whole, publicKey: await crypto.subtle.importKey('jwk', open, algorithm, true, ['verify']) };
}

(async () => {
	const oauth = await packages[process.argv[2]]();
	const dpop = require('dpop');
	const own = await appKeys();
	const another = await dpop.generateKeyPair('ES256');
	const state = 'a state & more';
	const { verifier } = oauth;
	const request = {
		response_type: 'code', redirect_uri: redirectURI, client_id: id, state, scope: 'rates:read accounts:read',
		code_challenge: await oauth.challenge(verifier), code_challenge_method: 'S256',
	};
	const said = {
		algorithms: oauth.metadata.dpop_signing_alg_values_supported.join(),
		attests: oauth.metadata.token_endpoint_auth_methods_supported.includes('attest_jwt_client_auth_dpop'),
		nobody: await outcome(oauth.push(own, request, '')),
		anotherPush: await outcome(oauth.push(another, request)),
	};
	console.log((await oauth.push(own, request)).href);
	const link = await new Promise((resolve) => require('readline').createInterface({ input: process.stdin }).once('line', resolve));
	const callback = new URL(link);
	said.anotherKey = await outcome(oauth.redeem(another, callback, state, verifier));
	const first = await oauth.redeem(own, callback, state, verifier);
	said.type = first.token_type;
	said.call = await status(oauth.call(own, first.access_token));
	said.bearer = await status(oauth.call(undefined, first.access_token));
	said.stolen = await status(oauth.call(another, first.access_token));
	const challenge = await fetch(oauth.metadata.challenge_endpoint, { method: 'POST', headers: { 'user-agent': agent } });
	const proof = await dpop.generateProof(own, accounts.href, 'GET', challenge.headers.get('dpop-nonce'), first.access_token);
	const proven = () => fetch(accounts, { headers: { ...atAPI, authorization: `DPoP ${first.access_token}`, dpop: proof } });
	said.dpop = await status(proven());
	said.again = await status(proven());
	said.anotherRefresh = await outcome(oauth.refresh(another, first.refresh_token));
	const second = await oauth.refresh(own, first.refresh_token);
	said.rotated = second.refresh_token !== first.refresh_token;
	said.renewed = await status(oauth.call(own, second.access_token));
	console.log(JSON.stringify(said));
	process.exit(0);
})().catch((err) => {
	console.error(err);
	process.exit(1);
});
